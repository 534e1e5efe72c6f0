"""A receiver of Expeditor's webhooks: checks the signature, drops repeats, prints what ended. Standard library only.

    WEBHOOK_SECRET=whsec_... python examples/webhook_receiver.py --port 9000

The secret is that of the setting `webhook_secret`, or stands in the file `webhook_secret` of the server's data folder.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_S = 300
LARGEST_BYTES = 1_000_000


def is_genuine(secret: str, headers: dict[str, str], body: bytes, now_s: float) -> bool:
    """Whether who knows the secret wrote this, just now: the check of Standard Webhooks 1.0."""
    try:
        written_s = int(headers.get("webhook-timestamp", ""))
    except ValueError:
        return False
    if abs(now_s - written_s) > TOLERANCE_S:  # an old message, played again by somebody who overheard it
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers.get('webhook-id', '')}.{written_s}.".encode() + body
    right = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    shown = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(f"v1,{right}", each) for each in shown)


class Receiver(BaseHTTPRequestHandler):
    """Answers at once: what takes long belongs into a queue of your own, or the message is sent again."""

    secret = ""
    seen: dict[str, float] = {}  # noqa: RUF012 - ids of messages; keep them in your database

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server asks for
        """Take one message."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_BYTES:
            self._answer(413)
            return
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        if not is_genuine(self.secret, headers, body, time.time()):
            self._answer(401)
            return
        if headers["webhook-id"] not in self.seen:  # the same message may come more than once
            self.seen[headers["webhook-id"]] = time.time()
            self.received(json.loads(body))
        self._answer(204)

    def received(self, message: dict) -> None:
        """Your part."""
        job = message["data"]["job"]
        urls = [output["url"] for output in job["outputs"]]
        print(message["type"], job["id"], *urls, flush=True)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in http.server
        """Print nothing besides."""


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Receives Expeditor's webhooks and prints them.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    options = parser.parse_args()
    Receiver.secret = os.environ["WEBHOOK_SECRET"].split()[0]
    with ThreadingHTTPServer((options.host, options.port), Receiver) as server:
        print(f"listening on http://{options.host}:{server.server_address[1]}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
