"""The unfinished jobs in memory, those that can be claimed sorted by ``ordering.sort_key``.

Owns who is next, who becomes due or expires when, and what stands before a job. Keeps nothing that has ended and nothing
across a restart. One thread changes it; places and counts may be asked from any.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

from ..jobs.model import Job, JobStatus
from ..jobs.transitions import is_terminal
from .blocks import Before, SortedBlocks, key_of
from .by_arrival import ByArrival
from .ledger import Aside
from .records import Ahead, DepthRow, Place

_WORKING = frozenset({JobStatus.RUNNING, JobStatus.CANCELING})
_CHUNK = 500  # looked at in one go, so that nobody waits long for the lock
_Group = tuple[str, int, JobStatus]


class Timetable:
    """Jobs by a time."""

    def __init__(self) -> None:
        """Empty."""
        self._times: list[tuple[float, int, str]] = []  # time, seq, id

    def __len__(self) -> int:
        """How many."""
        return len(self._times)

    def add(self, at_s: float, job: Job) -> None:
        """Note a job."""
        insort(self._times, (at_s, job.seq, job.id))

    def remove(self, at_s: float, job: Job) -> None:
        """Strike out a job that is noted."""
        del self._times[bisect_left(self._times, (at_s, job.seq, job.id))]

    def until(self, now_s: float) -> list[str]:
        """The ids of the jobs whose time has come, by time and ``seq``."""
        if not self._times or self._times[0][0] > now_s:
            return []
        return [job_id for _, _, job_id in self._times[: bisect_right(self._times, now_s, key=lambda row: row[0])]]


class Waiting(Protocol):
    """Those that can be claimed, in order: see ``SortedBlocks``."""

    def add(self, job: Job) -> None:
        """Put a job in its place."""
        ...

    def remove(self, job: Job) -> None:
        """Take out a job that stands here."""
        ...

    def first(self, limit: int) -> list[Job]:
        """The first jobs."""
        ...

    def head_score(self, but: str) -> float | None:
        """The score of the first job other than ``but``."""
        ...

    def place(self, job: Job) -> tuple[int, float]:
        """How many stand before a job, and their estimated seconds."""
        ...

    def before(self, job: Job) -> Before:
        """What stands before a job."""
        ...

    def oldest_queued_at_s(self) -> float | None:
        """When the job was queued that waits longest."""
        ...


class Line:
    """Jobs by id; those that wait and are neither held nor delayed, in order."""

    def __init__(self, waiting: Waiting | None = None) -> None:
        """Empty, before all times. ``waiting``: how those that can be claimed stand; one line for all unless it is said."""
        self._lock = threading.Lock()
        self._now_s = -math.inf
        self._jobs: dict[str, Job] = {}
        self._on_machine: dict[str, Job] = {}
        self._of_principal: defaultdict[str, dict[str, Job]] = defaultdict(dict)
        self._by_arrival = ByArrival(self._jobs)
        self._batches: defaultdict[str, Counter[JobStatus]] = defaultdict(Counter)
        self._groups: dict[_Group, tuple[int, float]] = {}  # jobs, their estimated seconds
        self._waiting: Waiting = SortedBlocks() if waiting is None else waiting
        self._delayed = Timetable()
        self._parked = Timetable()
        self._expiring = Timetable()
        self._held = 0

    def get(self, job_id: str) -> Job | None:
        """An unfinished job, or None."""
        return self._jobs.get(job_id)

    def put(self, job: Job) -> None:
        """Add an unfinished job or replace it; one that has ended leaves."""
        with self._lock:
            if job.id in self._jobs:
                self._remove(job.id)
            if not is_terminal(job.status):
                self._add(job)

    def remove(self, job_id: str) -> None:
        """Forget a job, known or not."""
        with self._lock:
            self._remove(job_id)

    def first(self, limit: int) -> list[Job]:
        """Who is next."""
        return self._waiting.first(limit)

    def head_score(self, but: str) -> float | None:
        """The score of the next one other than ``but``."""
        return self._waiting.head_score(but)

    def promote(self, now_s: float) -> bool:
        """See ``Ledger.promote``."""
        if now_s <= self._now_s:
            return False
        with self._lock:
            ids = (*self._delayed.until(now_s), *self._parked.until(now_s))
            due = [self._jobs[job_id] for job_id in ids]
            for job in due:
                self._remove(job.id)
            self._now_s = now_s
            for job in due:
                self._add(job)
            return bool(due)

    def expired(self, now_s: float) -> list[Job]:
        """See ``Ledger.expired``."""
        return [self._jobs[job_id] for job_id in self._expiring.until(now_s)]

    def queued(self) -> list[Job]:
        """Every queued or parked job, held and delayed ones too, in order."""
        return sorted((job for job in self._jobs.values() if job.in_line), key=key_of)

    def newest(
        self, before_seq: int, limit: int, wanted: Callable[[Job], bool] = bool, after_seq: int = 0
    ) -> list[Job]:
        """The newest jobs that are ``wanted`` and came between these ``seq``, the last first; for any thread."""
        found: list[Job] = []
        while len(found) < limit:
            with self._lock:
                some = list(islice(self._by_arrival.newest(before_seq, after_seq), _CHUNK))
            found += (job for job in some if wanted(job))
            if len(some) < _CHUNK:
                break
            before_seq = some[-1].seq
        return found[:limit]

    def in_batch(self, batch_id: str) -> dict[JobStatus, int]:
        """How many jobs of a batch stand how; for any thread."""
        with self._lock:
            return dict(self._batches.get(batch_id, {}))

    def on_machine(self) -> list[Job]:
        """Every job that has left the line and not ended, by ``seq``; for any thread."""
        with self._lock:
            return sorted(self._on_machine.values(), key=lambda job: job.seq)

    def of_principal(self, principal: str) -> list[Job]:
        """See ``Ledger.of_principal``."""
        return list(self._of_principal[principal].values()) if principal in self._of_principal else []

    def empty(self) -> bool:
        """Whether every job has ended."""
        return not self._jobs

    def depth(self) -> list[DepthRow]:
        """See ``ReadLedger.depth``."""
        with self._lock:
            groups = sorted(self._groups.items())
        return [DepthRow(*group, jobs=jobs, work_s=work_s) for group, (jobs, work_s) in groups]

    def aside(self) -> Aside:
        """See ``ReadLedger.aside``."""
        with self._lock:
            return Aside(self._held, len(self._delayed))

    def oldest_queued_at_s(self) -> float | None:
        """See ``ReadLedger.oldest_queued_at_s``."""
        with self._lock:
            return self._waiting.oldest_queued_at_s()

    def places(self, job_ids: Sequence[str]) -> dict[str, Place]:
        """See ``ReadLedger.places``."""
        found: dict[str, Place] = {}
        with self._lock:
            on_machine_s = sum(job.estimated_s for job in self._working())
            for job_id in job_ids:
                job = self._jobs.get(job_id)
                if job is not None and self._claimable(job):
                    before, work_s = self._waiting.place(job)
                    found[job_id] = Place(before + 1, work_s + on_machine_s)
        return found

    def ahead(self, job_id: str) -> Ahead | None:
        """See ``ReadLedger.ahead``."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or not self._claimable(job):
                return None
            before, working = self._waiting.before(job), self._working()
        return Ahead(
            waiting=before.by_priority,
            own=before.own,
            running=len(working),
            work_s=before.work_s + sum(other.estimated_s for other in working),
        )

    def _add(self, job: Job) -> None:
        self._jobs[job.id] = self._of_principal[job.principal.name][job.id] = job
        self._by_arrival.add(job)
        self._count(job, 1)
        if not job.in_line:
            self._on_machine[job.id] = job
            return
        if job.expires_at_s is not None and job.status is JobStatus.QUEUED:
            self._expiring.add(job.expires_at_s, job)
        if job.held:
            self._held += 1
        elif self._claimable(job):
            self._waiting.add(job)
        elif job.not_before_s is not None:
            self._aside_of(job).add(job.not_before_s, job)

    def _remove(self, job_id: str) -> None:
        job = self._jobs.pop(job_id, None)
        if job is None:
            return
        self._count(job, -1)
        own = self._of_principal[job.principal.name]
        del own[job_id]
        if not own:
            del self._of_principal[job.principal.name]
        if self._on_machine.pop(job_id, None) is not None:
            return
        if job.expires_at_s is not None and job.status is JobStatus.QUEUED:
            self._expiring.remove(job.expires_at_s, job)
        if job.held:
            self._held -= 1
        elif self._claimable(job):
            self._waiting.remove(job)
        elif job.not_before_s is not None:
            self._aside_of(job).remove(job.not_before_s, job)

    def _aside_of(self, job: Job) -> Timetable:
        return self._parked if job.status is JobStatus.WAITING else self._delayed

    def _count(self, job: Job, by: int) -> None:
        group = (job.principal.name, job.priority, job.status)
        jobs, work_s = self._groups.pop(group, (0, 0.0))
        if jobs + by:  # a group without jobs begins anew at zero, so that roundings never add up
            self._groups[group] = (jobs + by, work_s + by * job.estimated_s)
        if job.slot is not None:
            batch = self._batches[job.slot.batch_id]
            batch[job.status] += by
            if not batch[job.status]:
                del batch[job.status]
            if not batch:
                del self._batches[job.slot.batch_id]

    def _claimable(self, job: Job) -> bool:
        due = job.not_before_s is None or job.not_before_s <= self._now_s
        return due and job.in_line and not job.held

    def _working(self) -> list[Job]:
        return [job for job in self._on_machine.values() if job.status in _WORKING]


class OfLine:
    """The part of ``ReadLedger`` that a line in memory answers, for the readers of stores that hold one."""

    _line: Line

    def depth(self) -> list[DepthRow]:
        """See ``ReadLedger``."""
        return self._line.depth()

    def oldest_queued_at_s(self) -> float | None:
        """See ``ReadLedger``."""
        return self._line.oldest_queued_at_s()

    def aside(self) -> Aside:
        """See ``ReadLedger``."""
        return self._line.aside()

    def places(self, job_ids: Sequence[str]) -> dict[str, Place]:
        """See ``ReadLedger``."""
        return self._line.places(job_ids)

    def ahead(self, job_id: str) -> Ahead | None:
        """See ``ReadLedger``."""
        return self._line.ahead(job_id)
