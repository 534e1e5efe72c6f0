"""Count and time what your program asks of the server, under the names that dashboards expect.

    pip install requests prometheus-client
    python examples/client_metrics.py prompt.json --url http://127.0.0.1:8188 --times 5

Prints the exposition; a program that stays up calls ``prometheus_client.start_http_server(9000, registry=...)`` instead.
These times include the network. The server's own are on its ``/expeditor/metrics`` (docs/metrics.md).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import requests
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

ENDPOINT = "/expeditor/submit"


class MeasuredClient:
    """Submits prompts to one server and keeps count."""

    def __init__(self, url: str, registry: CollectorRegistry) -> None:
        self._url = url
        self._requests = Counter(
            "api_requests_total", "Requests sent.", ["endpoint", "method", "status"], registry=registry
        )
        self._errors = Counter(
            "api_errors_total",
            "Requests refused or not answered, by error code.",
            ["endpoint", "code"],
            registry=registry,
        )
        self._latency_s = Histogram(
            "api_latency_seconds", "From the request to its answer.", ["endpoint"], registry=registry
        )

    def submit(self, prompt: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """The accepted job. Raises ``requests.RequestException``; counted either way."""
        try:
            with self._latency_s.labels(ENDPOINT).time():
                answer = requests.post(self._url + ENDPOINT, json={"prompt": prompt, **fields}, timeout=60)
        except requests.RequestException:
            self._requests.labels(ENDPOINT, "POST", "none").inc()
            self._errors.labels(ENDPOINT, "UNREACHABLE").inc()
            raise
        self._requests.labels(ENDPOINT, "POST", str(answer.status_code)).inc()
        if not answer.ok:
            self._errors.labels(ENDPOINT, answer.headers.get("X-Expeditor-Code", "OTHER")).inc()
        answer.raise_for_status()
        return answer.json()


def main() -> int:
    """0 when every submit was accepted."""
    parser = argparse.ArgumentParser(
        description="Submit a prompt (a workflow exported in API format) and print metrics."
    )
    parser.add_argument("prompt", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8188", help="ComfyUI with Expeditor")
    parser.add_argument("--times", type=int, default=1, help="how often (default 1)")
    options = parser.parse_args()
    registry = CollectorRegistry()
    client = MeasuredClient(options.url, registry)
    prompt = json.loads(options.prompt.read_text("utf-8"))
    failures = 0
    for _ in range(options.times):
        try:
            client.submit(prompt)
        except requests.RequestException as fault:
            print(fault, file=sys.stderr)
            failures += 1
    print(generate_latest(registry).decode(), end="")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
