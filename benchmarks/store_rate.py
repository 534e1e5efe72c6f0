"""How fast the SQLite store takes jobs: the CPU of one enqueue, and the rate beside a thread that keeps the interpreter busy.

`python benchmarks/store_rate.py [seconds]`. Prints; judges nothing. Three settings: verbs alone; 32 submits outstanding
beside a thread that works 1 ms at a time; an event loop with 32 submitters, 1 ms of work each, that wait for their
job's commit and place as the route does.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from statistics import quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
import child_imports  # noqa: F401 - makes `expeditor` importable

from expeditor.jobs.events import JobEvent
from expeditor.jobs.model import NewJob, Payload, Principal, Source
from expeditor.jobs.ordering import OrderPolicy
from expeditor.store.base import JobStore
from expeditor.store.sqlite import SqliteStore

OUTSTANDING = 32
WORK_S = 0.001
_PAYLOAD = Payload('{"1": {"class_type": "X", "inputs": {}}}' * 60, '{"client_id": "x"}', '["1"]')


class Silence:
    """Hears events and commits, and counts the commits."""

    def __init__(self) -> None:
        self.commits = 0

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """Not kept."""

    def committed(self, duration_s: float, verbs: int) -> None:  # noqa: ARG002 - StoreObserver's names
        """Counted."""
        self.commits += 1


def new_job(n: int) -> NewJob:
    return NewJob(f"{n:036d}", Principal(f"p{n % 4}"), 3, Source.SUBMIT, 1.7e9 + n / 7, n, _PAYLOAD, signature="s")


def work(seconds: float) -> None:
    """Hold the interpreter, as a busy event loop does."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def alone(store: JobStore, _seconds: float) -> str:
    """CPU per enqueue, one at a time and 2000 at once."""
    parts: list[str] = []
    for name, count, at_once in (("single", 300, 1), ("in batches", 4000, 2000)):
        began_s = time.process_time()
        for start in range(0, count, at_once):
            futures = [store.enqueue(new_job(hash((name, n)) & 0xFFFFFFFFFF)) for n in range(start, start + at_once)]
            for future in futures:
                future.result(60)
        parts.append(f"{name} {(time.process_time() - began_s) / count * 1e6:.0f} us CPU")
    return ", ".join(parts)


def beside_a_busy_thread(store: JobStore, seconds: float) -> str:
    """32 outstanding submits; each one done asks for the next."""
    over = threading.Event()
    waits_s: list[float] = []

    def burn() -> None:
        while not over.is_set():
            work(WORK_S)
            time.sleep(0)

    def submit() -> None:
        asked_s = time.perf_counter()

        def settled(_: Future[Any]) -> None:
            waits_s.append(time.perf_counter() - asked_s)
            if not over.is_set():
                submit()

        store.enqueue(new_job(next(numbers))).add_done_callback(settled)

    numbers = iter(range(10**6, 10**9))
    burner = threading.Thread(target=burn)
    burner.start()
    for _ in range(OUTSTANDING):
        submit()
    time.sleep(seconds)
    over.set()
    burner.join()
    return _said(waits_s, seconds)


def in_an_event_loop(store: JobStore, seconds: float) -> str:
    """32 submitters on one loop: work, commit, place."""
    waits_s: list[float] = []
    numbers = iter(range(10**9, 10**10))

    async def submitter(until_s: float) -> None:
        while time.perf_counter() < until_s:
            asked_s = time.perf_counter()
            work(WORK_S)
            job = await asyncio.wrap_future(store.enqueue(new_job(next(numbers))))
            await asyncio.wrap_future(store.place(job.id))
            waits_s.append(time.perf_counter() - asked_s)

    async def run() -> None:
        until_s = time.perf_counter() + seconds
        await asyncio.gather(*(submitter(until_s) for _ in range(OUTSTANDING)))

    asyncio.run(run())
    return _said(waits_s, seconds)


def _said(waits_s: list[float], seconds: float) -> str:
    marks = quantiles(waits_s, n=100)
    return f"{len(waits_s) / seconds:.0f} jobs/s, p50 {marks[49] * 1e3:.1f} ms, p99 {marks[98] * 1e3:.1f} ms"


def main() -> None:
    """Each setting on a file of its own."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    settings: list[Callable[[JobStore, float], str]] = [alone, beside_a_busy_thread, in_an_event_loop]
    for setting in settings:
        with tempfile.TemporaryDirectory() as folder:
            ears = Silence()
            store = SqliteStore(
                path=Path(folder) / "queue.db",
                policy=OrderPolicy(),
                clock=time.time,
                boot_id="boot",
                publisher=ears,
                observer=ears,
            )
            store.open()
            said = setting(store, seconds)
            store.close()
            print(f"{setting.__name__}: {said}, {ears.commits} commits")  # noqa: T201


if __name__ == "__main__":
    main()
