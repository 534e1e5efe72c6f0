"""The queue in memory: the reference that other stores are held to, a shipped fake for tests, and the store of a server
that was told to keep nothing.

Owns the rows in memory. "Committed" means here: in the ledger; nothing survives the process.
"""

from __future__ import annotations

import time
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from ..jobs.events import Publisher
from ..jobs.model import Job, JobStatus, Payload
from ..jobs.ordering import OrderPolicy, sort_key
from ..jobs.transitions import is_terminal
from .base import Clock, DepthRow, Place, StoreObserver, StoreState
from .reading import Reading
from .threaded import ThreadedStore
from .verbs import Done, Verbs
from .worker import BatchWorker, Call, Outcome, outcome_of, tell

T = TypeVar("T")

_ON_MACHINE = frozenset({JobStatus.RUNNING, JobStatus.WAITING, JobStatus.CANCELING})
_WORKING = frozenset({JobStatus.RUNNING, JobStatus.CANCELING})
_Key = tuple[float, float, int]


class MemoryLedger:
    """Rows in dictionaries and one sorted list. Give the same ledger to a second store to play a restart."""

    def __init__(self) -> None:
        """Empty."""
        self._jobs: dict[str, Job] = {}
        self._payloads: dict[str, Payload] = {}
        self._ids: list[str] = []  # by arrival: the job of seq n stands at n - 1
        self._unfinished: dict[str, Job] = {}
        self._line: list[_Key] = []  # claimable jobs by their key
        self._virtual_time = 0.0
        self._finish_tags: dict[tuple[str, int], float] = {}
        self._means: dict[str, float] = {}

    def job(self, job_id: str) -> Job | None:
        """See ``KnownRows``."""
        return self._jobs.get(job_id)

    def payload(self, job_id: str) -> Payload | None:
        """See ``KnownRows``."""
        return self._payloads.get(job_id)

    def newest(
        self, statuses: tuple[JobStatus, ...], principal: str | None, before_seq: int | None, limit: int
    ) -> list[Job]:
        """See ``ReadLedger``."""
        ids = self._ids if before_seq is None else self._ids[: max(0, before_seq - 1)]
        found: list[Job] = []
        for job in map(self._jobs.__getitem__, reversed(ids)):
            if (not statuses or job.status in statuses) and principal in (None, job.principal.name):
                found.append(job)
                if len(found) == limit:
                    break
        return found

    def depth(self) -> list[DepthRow]:
        """See ``ReadLedger``."""
        groups: defaultdict[tuple[str, int, JobStatus], list[float]] = defaultdict(list)
        for job in self._unfinished.values():
            groups[(job.principal.name, job.priority, job.status)].append(job.estimated_s)
        return [DepthRow(*group, jobs=len(work), work_s=sum(work)) for group, work in sorted(groups.items())]

    def oldest_queued_at_s(self) -> float | None:
        """See ``ReadLedger``."""
        return min((self._at(key).queued_at_s for key in self._line), default=None)

    def place(self, job_id: str) -> Place | None:
        """See ``ReadLedger``."""
        job = self._jobs.get(job_id)
        if job is None or not _claimable(job):
            return None
        before = self._line[: bisect_left(self._line, _key(job))]
        work = [self._at(key) for key in before]
        work += [job for job in self._unfinished.values() if job.status in _WORKING]
        return Place(len(before) + 1, sum(job.estimated_s for job in work))

    def mean_run_s(self, signature: str) -> float | None:
        """See ``KnownRows``."""
        return self._means.get(signature)

    def next_seq(self) -> int:
        """See ``Ledger``."""
        return len(self._ids) + 1

    def add(self, job: Job, payload: Payload) -> None:
        """See ``Ledger``."""
        self._ids.append(job.id)
        self._payloads[job.id] = payload
        self.save(job)

    def save(self, job: Job) -> None:
        """See ``Ledger``."""
        stored = self._jobs.get(job.id)
        if stored is not None and _claimable(stored):
            del self._line[bisect_left(self._line, _key(stored))]
        if _claimable(job):
            insort(self._line, _key(job))
        self._jobs[job.id] = job
        if is_terminal(job.status):
            self._unfinished.pop(job.id, None)
        else:
            self._unfinished[job.id] = job

    def head(self) -> Job | None:
        """See ``Ledger``."""
        return self._at(self._line[0]) if self._line else None

    def head_score(self, but: str) -> float | None:
        """See ``Ledger``."""
        return next((key[0] for key in self._line[:2] if self._at(key).id != but), None)

    def queued(self) -> list[Job]:
        """See ``Ledger``."""
        return sorted((job for job in self._unfinished.values() if job.status is JobStatus.QUEUED), key=_key)

    def on_machine(self) -> list[Job]:
        """See ``Ledger``."""
        return sorted((job for job in self._unfinished.values() if job.status in _ON_MACHINE), key=lambda job: job.seq)

    def idle(self) -> bool:
        """See ``Ledger``."""
        return not self._unfinished

    def virtual_time(self) -> float:
        """See ``Ledger``."""
        return self._virtual_time

    def touch(self) -> None:
        """See ``Ledger``."""

    def set_virtual_time(self, value: float) -> None:
        """See ``Ledger``."""
        self._virtual_time = value
        self._finish_tags = {level: finish for level, finish in self._finish_tags.items() if finish > value}

    def finish_tags(self, principal: str) -> dict[int, float]:
        """See ``Ledger``."""
        return {priority: finish for (name, priority), finish in self._finish_tags.items() if name == principal}

    def largest_finish_tag(self) -> float | None:
        """See ``Ledger``."""
        return max(self._finish_tags.values(), default=None)

    def set_finish_tag(self, principal: str, priority: int, finish: float) -> None:
        """See ``Ledger``."""
        self._finish_tags[(principal, priority)] = finish

    def set_mean_run_s(self, means: Iterable[tuple[str, float]]) -> None:
        """See ``Ledger``."""
        self._means.update(means)

    def _at(self, key: _Key) -> Job:
        return self._jobs[self._ids[key[2] - 1]]


class MemoryStore(ThreadedStore):
    """``JobStore`` in memory, on one thread of its own. Contents outlive ``close``, not the process."""

    def __init__(
        self,
        *,
        policy: OrderPolicy,
        clock: Clock,
        boot_id: str,
        publisher: Publisher,
        observer: StoreObserver,
        ledger: MemoryLedger | None = None,
    ) -> None:
        """Closed at first. ``ledger``: the rows to start with, for playing a restart."""
        rows = ledger or MemoryLedger()
        self._verbs = Verbs(rows, policy, clock, boot_id)
        self._reading = Reading(rows)
        self._publisher = publisher
        self._observer = observer
        self._worker = BatchWorker("expeditor-store", self._run)

    def open(self) -> None:
        """See ``JobStore.open``."""
        if not self._worker.running:
            self._worker.start()

    def close(self) -> None:
        """See ``JobStore.close``."""
        self._worker.stop()

    def state(self) -> StoreState:
        """See ``JobStore.state``."""
        return StoreState(kind="memory", open=self._worker.running, error=None, pending_writes=self._worker.pending)

    def _write(self, verb: Callable[[Verbs], Done[T]], job_id: str | None = None) -> Future[T]:
        return self._worker.submit(lambda: verb(self._verbs), job_id)

    def _read(self, verb: Callable[[Reading], Done[T]], job_id: str | None = None) -> Future[T]:
        return self._worker.submit(lambda: verb(self._reading), job_id)

    def _run(self, batch: Sequence[Call]) -> Sequence[Outcome]:
        began_s = time.perf_counter()
        outcomes = [outcome_of(call.run) for call in batch]
        if tell(self._publisher, outcomes):
            self._observer.committed(time.perf_counter() - began_s, len(batch))
        return outcomes


def _claimable(job: Job) -> bool:
    return job.status is JobStatus.QUEUED and not job.held


def _key(job: Job) -> _Key:
    return sort_key(job.score, job.number, job.seq)
