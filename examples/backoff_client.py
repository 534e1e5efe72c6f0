"""Submit more jobs than the server wants to have waiting, without losing or doubling one. Standard library only.

    python examples/backoff_client.py prompt.json --times 100 --url http://127.0.0.1:8188

Three rules make it safe. Each job gets an Idempotency-Key before the first try, so that trying again is harmless: if an earlier
try had got in and only its answer was lost, the answer is that try's job. 429 and 503 are waited out, for as long as
``Retry-After`` says and at least ``min(2**n, 30)`` seconds at the n-th refusal in a row. Every other refusal is final. Prints
one accepted id a line.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

LONGEST_BACKOFF_S = 30
COME_BACK_LATER = {429, 503}
TIMEOUT_S = 60


def ask(url: str, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    """GET, or POST a body as JSON. Raises ``urllib.error.HTTPError`` for a refusal, ``OSError`` without an answer."""
    payload = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, payload, {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return json.load(answer)


def wait_s(refusals: int, retry_after: str | None) -> float:
    """How long to stay away after so many refusals in a row; a little more each time, lest all clients come back together."""
    told_s = int(retry_after) if retry_after and retry_after.isdigit() else 0
    return max(min(2**refusals, LONGEST_BACKOFF_S), told_s) * random.uniform(1.0, 1.1)


def submit(url: str, prompt: dict[str, Any], sleep: Callable[[float], object] = time.sleep) -> tuple[str, int]:
    """Get one job in, however long that takes: its id, and how often it was refused. Raises ``HTTPError`` for a final refusal."""
    key, refusals = {"Idempotency-Key": str(uuid.uuid4())}, 0
    while True:
        retry_after = None
        try:
            return ask(f"{url}/expeditor/submit", {"prompt": prompt}, **key)["id"], refusals
        except urllib.error.HTTPError as refused:
            with refused:
                if refused.code not in COME_BACK_LATER:
                    raise
                retry_after = refused.headers.get("Retry-After")
                print(f"{refused}; waiting", file=sys.stderr)  # "HTTP Error 429: QUEUE_FULL"
        except (OSError, http.client.HTTPException) as lost:
            print(f"no answer ({lost}); asking again", file=sys.stderr)
        sleep(wait_s(refusals, retry_after))
        refusals += 1


def until_ended(url: str, job_id: str, sleep: Callable[[float], object] = time.sleep) -> dict[str, Any]:
    """The job once it has ended. A server that is away for a moment (a restart) keeps its jobs."""
    failures = 0
    while True:
        try:
            job = ask(f"{url}/expeditor/jobs/{job_id}")
            if job["finished_at"]:
                return job
            failures = 0
        except urllib.error.HTTPError as refused:
            with refused:
                if refused.code not in COME_BACK_LATER:
                    raise
            failures += 1
        except (OSError, http.client.HTTPException):
            failures += 1
        sleep(wait_s(failures, None))


def main() -> int:
    """0 when every job got in and succeeded."""
    parser = argparse.ArgumentParser(
        description="Submit a prompt (a workflow exported in API format) many times, backing off when the queue is full."
    )
    parser.add_argument("prompt", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8188", help="ComfyUI with Expeditor")
    parser.add_argument("--times", type=int, default=10, help="how many jobs (default 10)")
    options = parser.parse_args()
    prompt = json.loads(options.prompt.read_text("utf-8"))
    accepted: list[str] = []
    try:
        for _ in range(options.times):
            job_id, _ = submit(options.url, prompt)
            accepted.append(job_id)
            print(job_id, flush=True)
    except urllib.error.HTTPError as refused:
        print(f"refused for good: {refused}\n{refused.read().decode(errors='replace')}", file=sys.stderr)
        return 1
    failed = [job_id for job_id in accepted if until_ended(options.url, job_id)["status"] != "succeeded"]
    print(f"{len(accepted)} accepted, {len(accepted) - len(failed)} succeeded", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
