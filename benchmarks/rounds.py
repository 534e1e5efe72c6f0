"""One run of all measurements: which servers, how many rounds, in which order. Yields rows; prints nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks import measures, report
from benchmarks.report import Row
from benchmarks.sides import Side, side

COMMIT_DELAY_S = 0.005
SLOW = "expeditor, slow disk"
FAULTY_NODES = 2_000


class Rounds:
    """`quick` takes fewer of everything; `calibrate` puts stock servers in Expeditor's places."""

    def __init__(self, *, quick: bool, calibrate: bool) -> None:
        """Starts nothing yet."""
        self._quick = quick
        self._real = not calibrate

    def rows(self) -> Iterator[Row]:
        """Everything, in about six minutes on a machine with nothing else to do."""
        with ExitStack() as stack:
            stock = stack.enter_context(side("stock", with_expeditor=False))
            ours = stack.enter_context(side("expeditor", with_expeditor=self._real))
            self._require_expeditor(ours)
            commit = measures.commits(ours.server.base, self._of(100, 300))
            yield report.commit_row(commit)
            jobs = self._of(300, 1_000)
            yield from report.memory_rows(measures.memory([stock, ours], jobs), jobs)
            yield from self._submits(stock, ours, commit.median)
            for cached in (False, True):
                found = measures.gaps([stock, ours], self._of(40, 100), rounds=self._of(2, 5), cached=cached)
                yield from report.gap_rows(found, "from the cache" if cached else "uncached", commit.median)
            refused = measures.refusals([stock, ours], FAULTY_NODES, rounds=self._of(1, 3))
            yield from report.refusal_rows(refused, FAULTY_NODES)
        imports = measures.pack_imports(self._of(1, 5)) if self._real else None
        yield from report.start_rows(measures.start_ups(self._of(1, 4)), imports)

    def _submits(self, stock: Side, ours: Side, commit_s: float) -> Iterator[Row]:
        env = {"EXPEDITOR_STORE_COMMIT_DELAY_S": str(COMMIT_DELAY_S)} if self._real else {}
        with side(SLOW, with_expeditor=self._real, env=env) as slow:
            for clients, requests in ((1, self._of(60, 200)), (32, self._of(192, 640))):
                found = measures.submits([stock, ours, slow], clients, requests, rounds=self._of(2, 7))
                yield from report.submit_rows(found, clients, "expeditor", commit_s)
                yield from report.submit_rows(found, clients, SLOW, commit_s + COMMIT_DELAY_S)

    def _of(self, quick: int, thorough: int) -> int:
        return quick if self._quick else thorough

    def _require_expeditor(self, ours: Side) -> None:
        health = ours.server.get("/expeditor/health")
        if self._real and health.status_code != 200:
            sys.exit(
                f"Expeditor is not running in its server ({health.status_code}):\n{ours.server.log_text()[-4000:]}"
            )
