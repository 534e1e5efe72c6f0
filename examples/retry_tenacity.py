"""Survive a lost connection without ever running a job twice: tenacity around one submit, one key throughout.

    pip install requests tenacity
    python examples/retry_tenacity.py prompt.json --url http://127.0.0.1:8188

Only faults of the connection are tried again: no answer came, so nobody knows whether the job got in. The same ``Idempotency-Key`` goes
with every try; if an earlier one had got in, the answer is its job. A refusal is an answer and is never tried again here: other 4xx stay
what they are, and 429 and 503 want to be waited out as they say (submit_with_retry.py does both).
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

TRIES = 8
TIMEOUT_S = (5, 60)  # to connect, and for the answer: a server that is busy answers late
LOST = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


def submit(url: str, prompt: dict[str, Any], wait: Callable[[RetryCallState], float] | None = None) -> dict[str, Any]:
    """The accepted job. Raises ``requests.HTTPError`` for a refusal at once, one of ``LOST`` after ``TRIES`` tries."""
    headers = {
        "Idempotency-Key": str(uuid.uuid4())
    }  # made once, outside the loop: this is what makes trying again harmless
    tries = Retrying(
        retry=retry_if_exception_type(LOST),
        wait=wait or wait_random_exponential(multiplier=0.5, max=30),
        stop=stop_after_attempt(TRIES),
        before_sleep=lambda state: print(f"no answer to try {state.attempt_number}; again", file=sys.stderr),
        reraise=True,
    )
    return tries(_once, url, prompt, headers)


def _once(url: str, prompt: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    answer = requests.post(f"{url}/expeditor/submit", json={"prompt": prompt}, headers=headers, timeout=TIMEOUT_S)
    answer.raise_for_status()
    return answer.json()


def main() -> int:
    """0: accepted, 1: refused, 2: the server gave no answer."""
    parser = argparse.ArgumentParser(description="Submit a prompt (a workflow exported in API format) over a bad line.")
    parser.add_argument("prompt", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8188", help="ComfyUI with Expeditor")
    options = parser.parse_args()
    try:
        print(submit(options.url, json.loads(options.prompt.read_text("utf-8")))["id"])
    except requests.HTTPError as refused:
        print(f"{refused}\n{refused.response.text}", file=sys.stderr)
        return 1
    except LOST as lost:
        print(f"{options.url} gave no answer: {lost}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
