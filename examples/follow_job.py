"""Submit a prompt and print what happens to it until it ends, over lost connections and restarts. Standard library only.

    python examples/follow_job.py prompt.json --url http://127.0.0.1:8188

Prints one line for each event. After a lost connection it comes back with the id of the last event that it has seen, and so misses
none and sees none twice. Exits with 0 if the job succeeded, else with 1.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ENDS = {"job.succeeded", "job.failed", "job.canceled", "job.expired"}
SILENCE_S = 60
"""The server says something every 15 s, if only a comment: after this long the connection is dead."""
PAUSE_S = 2


def submit(url: str, prompt: dict[str, Any]) -> str:
    """The id of a new job."""
    body = json.dumps({"prompt": prompt}).encode()
    request = urllib.request.Request(f"{url}/expeditor/submit", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=SILENCE_S) as answer:
        return json.load(answer)["id"]


def frames(answer: http.client.HTTPResponse) -> Iterator[dict[str, str]]:
    """The frames of a stream of server-sent events, as their fields. Comments are passed over."""
    fields: dict[str, str] = {}
    for line in answer:
        name, _, value = line.decode("utf-8").rstrip("\r\n").partition(":")
        if name:
            fields[name] = value.removeprefix(" ")
        elif not line.strip() and fields:
            yield fields
            fields = {}


def events(url: str, job_id: str) -> Iterator[dict[str, Any]]:
    """Each event of a job once, in order, up to its end. Raises ``HTTPError`` for a job that there is not."""
    headers: dict[str, str] = {}
    while True:
        try:
            request = urllib.request.Request(f"{url}/expeditor/jobs/{job_id}/events", headers=headers)
            with urllib.request.urlopen(request, timeout=SILENCE_S) as answer:
                if answer.status == http.client.NO_CONTENT:
                    return
                for fields in frames(answer):
                    if "id" in fields:
                        headers["Last-Event-ID"] = fields["id"]
                    if "data" in fields:
                        yield json.loads(fields["data"])
        except urllib.error.HTTPError as refused:
            if refused.code not in {429, 503}:
                raise
        except (OSError, http.client.HTTPException) as lost:
            print(f"connection lost ({lost}); coming back", file=sys.stderr)
        time.sleep(PAUSE_S)


def main() -> int:
    """Submit, follow, print."""
    parser = argparse.ArgumentParser(description="Submit a prompt and print what happens to it.")
    parser.add_argument("prompt", type=Path, help="a prompt in API format")
    parser.add_argument("--url", default="http://127.0.0.1:8188")
    arguments = parser.parse_args()
    job_id = submit(arguments.url, json.loads(arguments.prompt.read_text(encoding="utf-8")))
    for event in events(arguments.url, job_id):
        more = event.get("progress") or event.get("output") or event.get("error") or ""
        print(event["at"], event["type"], event.get("status", ""), more, flush=True)
        if event["type"] in ENDS:
            return 0 if event["type"] == "job.succeeded" else 1
    return 1


if __name__ == "__main__":
    sys.exit(main())
