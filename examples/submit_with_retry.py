"""One function to copy: submit a job and see it through, over lost connections, a full queue and restarts. Standard library only.

    python examples/submit_with_retry.py prompt.json --url http://127.0.0.1:8188 --patience 600

``submit_with_retry`` knows three levels. No answer: again, a little later each time. 429 and 503: again after ``Retry-After``, and at
least ``min(2**n, 30)`` seconds at the n-th in a row. And every try is the same request with the same ``Idempotency-Key``, so that
however often it is sent it is one job. Any other refusal is final and raised at once.
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

LONGEST_WAIT_S = 30.0
TIMEOUT_S = 60
ENDED = {"succeeded", "failed", "canceled", "expired"}


def submit_with_retry(
    url: str,
    prompt: dict[str, Any],
    patience_s: float = 600.0,
    key: str | None = None,
    sleep: Callable[[float], object] = time.sleep,
    **fields: Any,
) -> dict[str, Any]:
    """The accepted job. ``fields``: ``priority`` and whatever else submit takes.

    ``key``: of an earlier call that did not come to an end, say in a program that was stopped. Raises ``urllib.error.HTTPError`` for
    a final refusal, ``TimeoutError`` when it would have to wait longer than ``patience_s`` in all.
    """
    body = json.dumps({"prompt": prompt, **fields}).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": key or str(uuid.uuid4())}
    return _persist(urllib.request.Request(f"{url}/expeditor/submit", body, headers), patience_s, sleep)


def wait_for_end(url: str, job_id: str, patience_s: float = 600.0) -> dict[str, Any]:
    """The job once it has ended. It is asked for, not listened for: a restart of the server makes no difference."""
    while True:
        job = _persist(urllib.request.Request(f"{url}/expeditor/jobs/{job_id}"), patience_s, time.sleep)
        if job["status"] in ENDED:
            return job
        time.sleep(min(max((job["eta_s"] or 1.0) / 2, 0.2), 5.0))


def _persist(request: urllib.request.Request, patience_s: float, sleep: Callable[[float], object]) -> dict[str, Any]:
    waited_s, tries = 0.0, 0
    while True:
        told_s = 0.0
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                if refused.code not in {429, 503}:
                    raise
                told_s = float(refused.headers.get("Retry-After") or 1)
                why = f"{refused.code} {refused.reason}"  # the reason phrase is Expeditor's code: QUEUE_FULL, DRAINING
        except (OSError, http.client.HTTPException) as lost:
            why = f"no answer ({lost})"
        wait_s = max(told_s, min(2.0**tries, LONGEST_WAIT_S)) * random.uniform(1.0, 1.1)
        if waited_s + wait_s > patience_s:
            raise TimeoutError(f"{request.full_url}: {why}, for {waited_s:.0f} s")
        print(f"{why}; again in {wait_s:.1f} s", file=sys.stderr)
        sleep(wait_s)
        waited_s, tries = waited_s + wait_s, tries + 1


def main() -> int:
    """0: succeeded, 1: refused or ended badly, 2: patience ran out."""
    parser = argparse.ArgumentParser(description="Submit a prompt (a workflow exported in API format) and wait for it.")
    parser.add_argument("prompt", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8188", help="ComfyUI with Expeditor")
    parser.add_argument("--priority", type=int, default=3, help="1 to 10, 10 is most urgent")
    parser.add_argument(
        "--patience", type=float, default=600.0, help="seconds to wait for a server that is away or full"
    )
    options = parser.parse_args()
    prompt = json.loads(options.prompt.read_text("utf-8"))
    try:
        job = submit_with_retry(options.url, prompt, options.patience, priority=options.priority)
        print(job["id"], flush=True)
        job = wait_for_end(options.url, job["id"], options.patience)
    except urllib.error.HTTPError as refused:
        print(f"{refused}\n{refused.read().decode(errors='replace')}", file=sys.stderr)
        return 1
    except TimeoutError as fault:
        print(fault, file=sys.stderr)
        return 2
    print(job["status"], file=sys.stderr)
    return int(job["status"] != "succeeded")


if __name__ == "__main__":
    sys.exit(main())
