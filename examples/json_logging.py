"""One JSON line for every job that your program submits: who, which job, how large, how long, and what went wrong.

    pip install requests python-json-logger
    python examples/json_logging.py prompt.json --url http://127.0.0.1:8188

The names are those of the server's own log (docs/metrics.md), so that both can be joined by ``job_id`` or ``client_id``.
``prompt_length`` is ``len(json.dumps(prompt))``; the prompt itself is never logged.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import requests
from pythonjsonlogger.json import JsonFormatter

log = logging.getLogger("client.expeditor")


def set_up_logging() -> None:
    """JSON lines on standard error; a traceback becomes the field ``exc_info``."""
    console = logging.StreamHandler()
    console.setFormatter(
        JsonFormatter(
            "{levelname}{name}{message}",
            style="{",
            timestamp="ts",
            rename_fields={"levelname": "level", "name": "logger"},
        )
    )
    log.addHandler(console)
    log.setLevel(logging.INFO)


def submit(url: str, prompt: dict[str, Any], client_id: str, priority: int = 3) -> dict[str, Any]:
    """The accepted job. Raises ``requests.HTTPError`` for a refusal; logs one line either way."""
    fields: dict[str, Any] = {"client_id": client_id, "priority": priority, "prompt_length": len(json.dumps(prompt))}
    started_s = time.perf_counter()
    try:
        body = {"prompt": prompt, "priority": priority, "client_id": client_id}
        answer = requests.post(f"{url}/expeditor/submit", json=body, timeout=60)
        # On a refusal: which code; the faults' texts are for people, and may quote values of the prompt.
        fields |= {"status": answer.status_code, "code": answer.headers.get("X-Expeditor-Code")}
        answer.raise_for_status()
        fields["job_id"] = answer.json()["id"]
    except requests.RequestException:
        fields["duration_s"] = round(time.perf_counter() - started_s, 4)
        log.exception("submit failed", extra={"event": "submit.failed", **fields})
        raise
    fields["duration_s"] = round(time.perf_counter() - started_s, 4)
    log.info("submitted", extra={"event": "submit.done", **fields})
    return answer.json()


def main() -> int:
    """0 when the job was accepted."""
    parser = argparse.ArgumentParser(
        description="Submit a prompt (a workflow exported in API format) and log it as JSON."
    )
    parser.add_argument("prompt", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8188", help="ComfyUI with Expeditor")
    parser.add_argument("--priority", type=int, default=3, help="1 to 10, 10 is most urgent")
    options = parser.parse_args()
    set_up_logging()
    try:
        job = submit(options.url, json.loads(options.prompt.read_text("utf-8")), str(uuid.uuid4()), options.priority)
    except requests.RequestException:
        return 1
    print(job["id"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
