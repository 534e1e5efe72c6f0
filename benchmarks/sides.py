"""The servers that are compared, and what every measurement asks of them. Owns no figure."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks import prompts
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[1]
TEST_NODES = ROOT / "tests/support/packs/expeditor_test_nodes"
LOAD = ROOT / "benchmarks/load.py"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the servers under comparison."""

    name: str
    server: RealComfyUI

    def rss_bytes(self) -> int:
        """Resident memory of the process."""
        return int(psutil.Process(self.server.pid).memory_info().rss)

    def submit(self, prompt: Mapping[str, Any], client_id: str) -> str:
        """The id of an accepted prompt."""
        answer = self.server.post("/prompt", json={"prompt": prompt, "client_id": client_id})
        if answer.status_code != 200:
            raise RuntimeError(
                f"{self.name} refused a prompt of the benchmark: {answer.status_code} {answer.text[:500]}"
            )
        return str(answer.json()["prompt_id"])

    def remaining(self) -> int:
        """Prompts that run or wait."""
        return int(self.server.get("/prompt").json()["exec_info"]["queue_remaining"])

    def clear(self) -> None:
        """Drop all that waits, and wait until the store has written it down; what runs goes on."""
        self.server.post("/queue", json={"clear": True})
        wait_until(lambda: self.remaining() <= 1, what=f"an empty queue on {self.name}")
        wait_until(self._written, 60, what=f"the store of {self.name} at rest")

    def _written(self) -> bool:
        health = self.server.get("/expeditor/health")
        return health.status_code != 200 or health.json()["store"]["pending_writes"] == 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """With the worker busy, so that nothing submitted runs; idle and empty afterwards."""
        self.submit(prompts.holder(), "bench-holder")
        wait_until(lambda: self.server.get("/queue").json()["queue_running"], what=f"{self.name} busy")
        try:
            yield
        finally:
            self.clear()
            self.server.post("/interrupt", json={})
            wait_until(lambda: self.remaining() == 0, what=f"{self.name} idle")

    def load(self, clients: int, bodies: Sequence[str]) -> dict[str, Any]:
        """What `load.py` found out; RuntimeError unless every body was accepted."""
        asked = json.dumps({"url": self.server.url, "clients": clients, "bodies": list(bodies)})
        run = subprocess.run(
            [sys.executable, str(LOAD)], input=asked, capture_output=True, text=True, timeout=300, check=False
        )
        if run.returncode != 0:
            raise RuntimeError(f"load.py failed against {self.name}:\n{run.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(run.stdout)
        if set(found["statuses"]) != {"200"}:
            raise RuntimeError(f"{self.name} did not accept all: {found['statuses']}\n{self.server.log_text()[-2000:]}")
        return found


@contextmanager
def side(
    name: str, *, with_expeditor: bool, env: Mapping[str, str] | None = None, packs: Sequence[Path] = ()
) -> Iterator[Side]:
    """A running server with the test nodes and ``packs``, gone afterwards."""
    with RealComfyUI(with_expeditor=with_expeditor, packs=[TEST_NODES, *packs], env=env or {}) as server:
        yield Side(name, server)
