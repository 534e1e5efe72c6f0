"""What a queue costs by its depth: the measurements that `growth.py` repeats at each depth, on stock and on Expeditor alike.

All times in seconds, sizes in bytes. A stock server has no page and no status of a waiting job: what a client must do there
is read the whole queue, so that is what is measured. Knows no aim and prints nothing.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import requests
import websocket

from benchmarks import prompts
from benchmarks.measures import percentile
from benchmarks.sides import Side
from tests.support.waiting import wait_until

POSTS = 300
ASKED = 15
RUNS = 15
PAGE = "/expeditor/jobs?limit=50"


@dataclass(slots=True)
class AtDepth:
    """The figures of one side at one depth. `claim_s`: from a client's `execution_success` to the next `execution_start`."""

    waiting: int
    submit_p50_s: float = 0.0
    submit_p99_s: float = 0.0
    page_s: float = 0.0
    status_s: float = 0.0
    claim_s: float = 0.0
    rss_bytes: int = 0


@dataclass(slots=True)
class Growth:
    """One side from the empty queue on. `recovery_s`: opening and recovering the database at each depth; ours only."""

    side: str
    rows: list[AtDepth] = field(default_factory=lambda: [])
    recovery_s: dict[int, float] = field(default_factory=lambda: {})


class Deepening:
    """Fills one side's queue step by step, and measures at each. The worker is kept busy by a gate, which opens for runs."""

    def __init__(self, one: Side) -> None:
        """`fill_to` must be called before anything is measured."""
        self._one = one
        self._waiting = 0
        self._seed = 0
        self._gates = 0
        self._last = ""

    def begin(self) -> None:
        """Have the worker wait at a gate."""
        self._last = self._submit_gate(front=False)
        wait_until(lambda: self._one.server.get("/queue").json()["queue_running"], what="the gate reached")

    def fill_to(self, waiting: int) -> None:
        """Post until so many jobs wait."""
        while self._waiting < waiting:
            self._post(min(waiting - self._waiting, 2_000), clients=8)

    def measure(self) -> AtDepth:
        """All figures at the present depth; some hundred jobs more wait afterwards."""
        found = AtDepth(waiting=self._waiting, rss_bytes=self._one.rss_bytes())
        run = self._post(POSTS, clients=1)
        found.submit_p50_s, found.submit_p99_s = percentile(run, 0.5), percentile(run, 0.99)
        with requests.Session() as session:
            found.page_s = self._page(session)
            found.status_s = self._status(session)
        found.claim_s = self._claims()
        return found

    def _post(self, count: int, clients: int) -> Sequence[float]:
        bodies = [
            json.dumps({"prompt": prompts.small(self._seed + n), "client_id": f"bench-{n % clients}"})
            for n in range(count)
        ]
        self._seed += count
        self._waiting += count
        return self._one.load(clients, bodies)["latencies_s"]

    def _page(self, session: requests.Session) -> float:
        path = PAGE + "&status=queued" if self._is_ours else "/queue"
        return _asked(session, self._one.server.url + path, lambda answer: len(answer.content) > 0)

    def _status(self, session: requests.Session) -> float:
        """Of a job that stands behind the whole backlog of its principal: what is counted for it grows with the queue."""
        entry = self._one.server.post(
            "/prompt", json={"prompt": prompts.small(self._seed), "client_id": "bench-0"}
        ).json()["prompt_id"]
        self._seed += 1
        self._waiting += 1
        url = self._one.server.url + (f"/expeditor/jobs/{entry}" if self._is_ours else "/queue")
        return _asked(session, url, lambda answer: entry in answer.text)

    def _claims(self) -> float:
        """The median gap between runs of jobs that were put in front of the whole queue; another gate stands behind them."""
        client = "bench-claims"
        socket = websocket.create_connection(f"{self._one.server.ws_url}?clientId={client}", timeout=120)
        try:
            opened, self._last = self._last, self._submit_gate(front=True)
            for _ in range(RUNS):  # each goes before the one put in front last
                self._front(prompts.small(self._seed), client)
                self._seed += 1
            (self._one.server.base / "input" / opened).touch()
            heard = _starts_and_successes(socket, RUNS)
        finally:
            socket.close()
        return statistics.median(heard)

    def _submit_gate(self, *, front: bool) -> str:
        self._gates += 1
        name = f"depth-gate-{self._gates}"
        if front:
            self._front(prompts.gate(name), "bench-gate")
        else:
            self._one.submit(prompts.gate(name), "bench-gate")
        return name

    def _front(self, prompt: dict[str, object], client: str) -> None:
        body = {"prompt": prompt, "client_id": client, "front": True}
        answer = self._one.server.post("/prompt", json=body)
        if answer.status_code != 200:
            raise RuntimeError(f"{self._one.name} refused: {answer.text[:300]}")

    @property
    def _is_ours(self) -> bool:
        return self._one.name != "stock"


def _asked(session: requests.Session, url: str, right: Callable[[requests.Response], bool]) -> float:
    found: list[float] = []
    for _ in range(ASKED):
        start = time.perf_counter()
        answer = session.get(url, timeout=120)
        found.append(time.perf_counter() - start)
        if answer.status_code != 200 or not right(answer):
            raise RuntimeError(f"{url}: {answer.status_code} {answer.text[:300]}")
    return statistics.median(found)


def _starts_and_successes(socket: websocket.WebSocket, runs: int) -> list[float]:
    gaps: list[float] = []
    succeeded_at: float | None = None
    while len(gaps) < runs - 1:
        frame = socket.recv()
        now = time.perf_counter()
        if not isinstance(frame, str):
            continue
        kind = json.loads(frame)["type"]
        if kind == "execution_success":
            succeeded_at = now
        elif kind == "execution_start" and succeeded_at is not None:
            gaps.append(now - succeeded_at)
            succeeded_at = None
    return gaps
