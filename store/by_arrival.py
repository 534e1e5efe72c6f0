"""Unfinished jobs in the order of their arrival, so that the newest of very many are found without a look at the others.

Owns that order alone. Jobs that are gone are struck out when they are many, not one by one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping

from ..jobs.model import Job

_GONE_MAX = 1000  # at least so many entries of jobs that are gone are put up with


class ByArrival:
    """``jobs``: all that there are, by id, as somebody else keeps them; the caller sees to it that nobody changes them meanwhile."""

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        """As empty as ``jobs``."""
        self._jobs = jobs
        self._seqs: list[int] = []  # ascending
        self._ids: list[str] = []  # of these

    def add(self, job: Job) -> None:
        """A job came, or was changed: its place stays."""
        seqs = self._seqs
        if not seqs or seqs[-1] < job.seq:
            seqs.append(job.seq)
            self._ids.append(job.id)
        else:
            at = bisect_left(seqs, job.seq)
            if seqs[at] == job.seq:
                self._ids[at] = job.id
                return
            seqs.insert(at, job.seq)
            self._ids.insert(at, job.id)
        if len(seqs) > 2 * len(self._jobs) + _GONE_MAX:
            self._strike_out()

    def newest(self, before_seq: int, after_seq: int) -> Iterator[Job]:
        """Those that came between these ``seq``, the last first."""
        for at in range(bisect_left(self._seqs, before_seq) - 1, bisect_right(self._seqs, after_seq) - 1, -1):
            job = self._jobs.get(self._ids[at])
            if job is not None and job.seq == self._seqs[at]:
                yield job

    def _strike_out(self) -> None:
        left = sorted(self._jobs.values(), key=lambda job: job.seq)
        self._seqs[:] = (job.seq for job in left)
        self._ids[:] = (job.id for job in left)
