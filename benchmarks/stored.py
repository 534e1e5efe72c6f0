"""A queue's database with many finished jobs in it, and how long it takes to recover it.

Works on the files directly, with the store's own code: the finished jobs are enqueued, claimed and finished as a server
would, only without a server.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
import uuid
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from benchmarks import prompts
from expeditor.jobs.events import JobEvent
from expeditor.jobs.model import Ending, JobStatus, NewJob, Output, Payload, Principal, Source
from expeditor.jobs.ordering import OrderPolicy
from expeditor.runtime.storage import DATABASE_NAME
from expeditor.store.sqlite import SqliteStore

AT_ONCE = 500
_OUTPUT = Output("2", "bench_00001_.png", "", "output", "image", "image/png", 1_000)


class _Silence:
    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """Not kept."""

    def committed(self, duration_s: float, verbs: int) -> None:
        """Not kept."""


class Stored:
    """The database in one folder."""

    def __init__(self, folder: Path) -> None:
        """The folder is there; the database may not be."""
        self._folder = folder

    def fill(self, finished: int) -> int:
        """Add so many finished jobs; how many they are."""
        store = _store(self._folder / DATABASE_NAME)
        store.open()
        try:
            for start in range(0, finished, AT_ONCE):
                count = min(AT_ONCE, finished - start)
                _all([store.enqueue(_job(start + n)) for n in range(count)])
                claims = _all([store.claim() for _ in range(count)])
                ending = Ending(JobStatus.SUCCEEDED, time.time(), 0.1, outputs=(_OUTPUT,))
                _all([store.finish(claim.job.id, claim.attempt, ending) for claim in claims])
        finally:
            store.close()
        return finished

    def recovery_s(self) -> tuple[float, int]:
        """Seconds to open and recover a copy of the database as it is now, under a live server or not; and what waits in it."""
        with tempfile.TemporaryDirectory(prefix="expeditor-recovery-") as folder:
            copy = Path(folder) / DATABASE_NAME
            source, target = sqlite3.connect(self._folder / DATABASE_NAME), sqlite3.connect(copy)
            with source, target:
                source.backup(target)
            source.close()
            target.close()
            store = _store(copy)
            start = time.perf_counter()
            store.open()
            recovered = store.recover().result(600)
            took_s = time.perf_counter() - start
            store.close()
        return took_s, len(recovered.waiting)


def _store(path: Path) -> SqliteStore:
    silence = _Silence()
    return SqliteStore(
        path=path,
        policy=OrderPolicy(),
        clock=time.time,
        boot_id=uuid.uuid4().hex,
        publisher=silence,
        observer=silence,
    )


def _job(n: int) -> NewJob:
    payload = Payload(json.dumps(prompts.small(n)), '{"client_id": "bench"}', '["2"]')
    return NewJob(
        id=str(uuid.uuid4()),
        principal=Principal("bench"),
        priority=3,
        source=Source.SUBMIT,
        created_at_s=time.time(),
        number=float(n),
        payload=payload,
        client_id="bench",
        signature="bench",
        node_count=2,
        prompt_length=len(payload.prompt_json),
    )


def _all(futures: list[Future[Any]]) -> list[Any]:
    return [future.result(120) for future in futures]
