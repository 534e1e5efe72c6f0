"""What the conformance suite needs around a store: a clock set by hand, ears, and a restart on the same storage.

Owns no expectations. A new store joins the suite with one more subclass of `Storage`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from expeditor.jobs.affinity import AffinityPolicy
from expeditor.jobs.events import JobEvent
from expeditor.jobs.model import Claim, Ending, Job, JobStatus, NewJob, Output, Payload, Principal, Source
from expeditor.jobs.ordering import OrderPolicy
from expeditor.store.base import JobStore
from expeditor.store.bullmq.adapter import BullmqStore
from expeditor.store.bullmq.address import parse
from expeditor.store.bullmq.connections import Connections
from expeditor.store.memory import MemoryLedger, MemoryStore
from expeditor.store.sqlite import SqliteStore

T = TypeVar("T")

DEADLINE_S = 30.0
SOON_S = 0.02
"""How often the threads of a shared store look whether they are to end: hundreds of tests close one."""
IMAGE = Output("9", "a_00001_.png", "sub", "output", "image", "image/png", 123)


class HandClock:
    """Seconds since the epoch, moved by the test."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


class Ears:
    """Hears events and commits, in the order told."""

    def __init__(self) -> None:
        self.events: list[JobEvent] = []
        self.commits: list[tuple[float, int]] = []
        self.on_publish: Callable[[tuple[JobEvent, ...]], None] = lambda _: None

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        self.events.extend(events)
        self.on_publish(events)

    def committed(self, duration_s: float, verbs: int) -> None:
        self.commits.append((duration_s, verbs))

    def told(self, job_id: str) -> list[str]:
        """The types of a job's events so far."""
        return [event.type for event in self.events if event.job.id == job_id]


class Storage:
    """One storage, on which stores are opened one after the other, as processes would."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.ears = Ears()
        self.policy = OrderPolicy()
        self.affinity = AffinityPolicy(slack_s=0.0)
        self.boots = 0
        self.store: JobStore | None = None

    def start(self) -> JobStore:
        """The next process's store, open; the one before is closed first."""
        self.stop()
        self.boots += 1
        self.store = self.make(f"boot-{self.boots}")
        self.store.open()
        return self.store

    def stop(self) -> None:
        if self.store is not None:
            self.store.close()

    def make(self, boot_id: str) -> JobStore:
        raise NotImplementedError

    def another(self, folder: Path) -> Storage:
        """An empty one of the same kind; ``folder``: where, if it needs one."""
        raise NotImplementedError

    def parts(self, boot_id: str) -> dict[str, Any]:
        """The constructor arguments that all stores share."""
        return {
            "policy": self.policy,
            "clock": self.clock,
            "boot_id": boot_id,
            "publisher": self.ears,
            "observer": self.ears,
            "affinity": self.affinity,
        }


class MemoryStorage(Storage):
    """A ledger that outlives its store."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = MemoryLedger()

    def make(self, boot_id: str) -> JobStore:
        return MemoryStore(**self.parts(boot_id), ledger=self.ledger)

    def another(self, folder: Path) -> Storage:
        return MemoryStorage()


class SqliteStorage(Storage):
    """A database file."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / "queue.db"

    def make(self, boot_id: str) -> JobStore:
        return SqliteStore(path=self.path, **self.parts(boot_id))

    def another(self, folder: Path) -> Storage:
        return SqliteStorage(folder)


class BullmqStorage(Storage):
    """A namespace of its own on a real Redis."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.connections = Connections(parse(url))
        self.namespace = f"t{uuid.uuid4().hex[:12]}"

    def make(self, boot_id: str) -> JobStore:
        parts = self.parts(boot_id)
        return BullmqStore(connections=self.connections, namespace=self.namespace, look_s=SOON_S, **parts)

    def stop(self) -> None:
        super().stop()
        self.connections.close()

    def another(self, folder: Path) -> Storage:
        return BullmqStorage(self.url)


def done(future: Future[T]) -> T:
    """A verb's value, waited for."""
    return future.result(DEADLINE_S)


def new_job(job_id: str, priority: int = 3, principal: str = "ada", **fields: Any) -> NewJob:
    """A job that asks to enter; its payload carries its id."""
    payload = Payload(f'{{"1": {{"class_type": "{job_id}"}}}}', '{"client_id": "x"}', '["1"]')
    given = {"created_at_s": 1_699_999_999.5, "number": 0.0, "source": Source.SUBMIT, "payload": payload, **fields}
    return NewJob(id=job_id, principal=Principal(principal), priority=priority, **given)


def ending(status: JobStatus = JobStatus.SUCCEEDED, run_s: float = 2.0, **fields: Any) -> Ending:
    """How a run ended."""
    return Ending(**{"status": status, "finished_at_s": 1_700_000_100.0, "run_s": run_s, **fields})


def enqueue(store: JobStore, job_id: str, priority: int = 3, principal: str = "ada", **fields: Any) -> Job:
    return done(store.enqueue(new_job(job_id, priority, principal, **fields)))


def claim(store: JobStore, resident: frozenset[str] = frozenset()) -> Claim:
    """A claim that must give something."""
    claimed = done(store.claim(resident))
    assert claimed is not None, "nothing to claim"
    return claimed


def claim_all(store: JobStore) -> list[str]:
    """The ids of all that waits, in the order of claim; each is finished before the next."""
    order: list[str] = []
    while (claimed := done(store.claim())) is not None:
        order.append(claimed.job.id)
        done(store.finish(claimed.job.id, claimed.attempt, ending(cached=True)))
    return order
