"""The unfinished jobs in memory, those that can be claimed sorted by ``ordering.sort_key``.

Owns who is next and what stands before a job. Keeps nothing that has ended and nothing across a restart. One thread
changes it; ``place`` may be asked from any.
"""

from __future__ import annotations

import threading
from bisect import bisect_left

from ..jobs.model import Job, JobStatus
from ..jobs.ordering import sort_key
from ..jobs.transitions import is_terminal
from .base import Place

_WORKING = frozenset({JobStatus.RUNNING, JobStatus.CANCELING})
_Key = tuple[float, float, int]


class Line:
    """Jobs by id, and one sorted list of those that wait and are not held."""

    def __init__(self) -> None:
        """Empty."""
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._on_machine: dict[str, Job] = {}
        self._keys: list[_Key] = []
        self._waiting: list[Job] = []  # as _keys
        self._work_s: list[float] = []  # as _keys

    def get(self, job_id: str) -> Job | None:
        """An unfinished job, or None."""
        return self._jobs.get(job_id)

    def put(self, job: Job) -> None:
        """Add an unfinished job or replace it; one that has ended leaves."""
        with self._lock:
            self._remove(job.id)
            if is_terminal(job.status):
                return
            self._jobs[job.id] = job
            if _claimable(job):
                key = _key(job)
                at = bisect_left(self._keys, key)
                self._keys.insert(at, key)
                self._waiting.insert(at, job)
                self._work_s.insert(at, job.estimated_s)
            elif job.status is not JobStatus.QUEUED:
                self._on_machine[job.id] = job

    def remove(self, job_id: str) -> None:
        """Forget a job, known or not."""
        with self._lock:
            self._remove(job_id)

    def head(self) -> Job | None:
        """Who is next."""
        return self._waiting[0] if self._waiting else None

    def head_score(self, but: str) -> float | None:
        """The score of the next one other than ``but``."""
        return next((job.score for job in self._waiting[:2] if job.id != but), None)

    def queued(self) -> list[Job]:
        """Every queued job, held ones too, in order."""
        return sorted((job for job in self._jobs.values() if job.status is JobStatus.QUEUED), key=_key)

    def on_machine(self) -> list[Job]:
        """Every job that has left the line and not ended, by ``seq``."""
        return sorted(self._on_machine.values(), key=lambda job: job.seq)

    def empty(self) -> bool:
        """Whether every job has ended."""
        return not self._jobs

    def place(self, job_id: str) -> Place | None:
        """Where a claimable job stands; None for any other."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or not _claimable(job):
                return None
            before = bisect_left(self._keys, _key(job))
            on_machine_s = sum(job.estimated_s for job in self._on_machine.values() if job.status in _WORKING)
            return Place(position=before + 1, work_ahead_s=sum(self._work_s[:before]) + on_machine_s)

    def _remove(self, job_id: str) -> None:
        job = self._jobs.pop(job_id, None)
        if job is None:
            return
        self._on_machine.pop(job_id, None)
        if _claimable(job):
            at = bisect_left(self._keys, _key(job))
            del self._keys[at], self._waiting[at], self._work_s[at]


def _claimable(job: Job) -> bool:
    return job.status is JobStatus.QUEUED and not job.held


def _key(job: Job) -> _Key:
    return sort_key(job.score, job.number, job.seq)
