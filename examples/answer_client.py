"""Answer the nodes of a workflow that wait for a person: a program looks at the pictures and decides. Standard library only.

    python examples/answer_client.py --url http://127.0.0.1:8188 --answers 3

Looks twice a second for waits that are open, fetches what they show, and answers: of a batch it picks the pictures with most
detail (those that take most bytes as JPEG), it approves pictures that have any, and to a plain question it says what
``--text`` says. ``decide`` is what you would replace, by a model that judges, or by a message to a colleague. Somebody else may be
faster, on the page for example: the first answer counts, and 410 says that it was not ours. Prints a line for each answer.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

LOOK_EVERY_S = 0.5
TIMEOUT_S = 60
LEAST_BYTES = 1000
"""A picture of one colour takes less."""


def fetched(url: str, body: dict[str, Any] | None = None) -> bytes:
    """GET, or POST a body as JSON. Raises ``urllib.error.HTTPError`` for a refusal, ``OSError`` without an answer."""
    payload = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, payload, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return answer.read()


def decide(wait: dict[str, Any], pictures: list[bytes], text: str) -> str:
    """The message that answers a wait; ``pictures`` are the bytes of what it shows."""
    if wait["kind"] == "text":
        return text
    if wait["kind"] == "approve":
        return json.dumps({"approved": all(len(picture) >= LEAST_BYTES for picture in pictures)})
    by_detail = sorted(range(len(pictures)), key=lambda number: len(pictures[number]), reverse=True)
    return json.dumps({"picks": by_detail[: max(wait["least"], 1)]})


def answer(url: str, wait: dict[str, Any], text: str) -> str:
    """Answer one wait: what was said. Raises as ``fetched`` does; 410 when it is over."""
    pictures = [fetched(url + image["url"]) for image in wait["images"]]
    message = decide(wait, pictures, text)
    fetched(f"{url}/expeditor/messages", {"message": message, "node_id": wait["node_id"], "token": wait["token"]})
    return message


def main() -> int:
    """Answer so many waits; 0 when done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8188")
    parser.add_argument("--text", default="go on", help="what to say to a plain question")
    parser.add_argument("--answers", type=int, default=1, help="how many waits to answer")
    asked = parser.parse_args()
    answered = 0
    while answered < asked.answers:
        for wait in json.loads(fetched(f"{asked.url}/expeditor/messages/pending"))["pending"]:
            try:
                message = answer(asked.url, wait, asked.text)
            except urllib.error.HTTPError as refused:
                with refused:
                    print(f"{wait['label']}: {refused}", file=sys.stderr)  # "HTTP Error 410: GONE"
                continue
            print(f"{wait['label']}: {message}", flush=True)
            answered += 1
        time.sleep(LOOK_EVERY_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
