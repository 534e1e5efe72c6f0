"""The line of a member that counts what waits, so that the limits of the queue hold for all members together.

Owns the counts. Whether there is room is for who is asked (``base.Room``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ...jobs.model import Job, JobStatus
from ..line import Line, Waiting
from ..records import Crowd

_WAITING = frozenset({JobStatus.QUEUED, JobStatus.RETRYING})


class CountedLine(Line):
    """See the module's docstring. ``size_bytes`` says what a job weighs; asked when it is put in."""

    def __init__(self, waiting: Waiting, size_bytes: Callable[[str], int]) -> None:
        """Empty."""
        super().__init__(waiting)
        self._size_bytes = size_bytes
        self._weights: dict[str, int] = {}  # of those that wait
        self._bytes = self._others = 0
        self._trusted = Counter[str]()

    def crowd(self) -> Crowd:
        """What waits now; used by the writing thread, and valid until its next change."""
        return Crowd(len(self._weights), self._bytes, self._trusted, self._others)

    def _add(self, job: Job) -> None:
        super()._add(job)
        if job.status in _WAITING:
            weight = self._weights[job.id] = self._size_bytes(job.id)
            self._count_waiting(job, 1, weight)

    def _remove(self, job_id: str) -> None:
        job, weight = self._jobs.get(job_id), self._weights.pop(job_id, None)
        super()._remove(job_id)
        if job is not None and weight is not None:
            self._count_waiting(job, -1, -weight)

    def _count_waiting(self, job: Job, jobs: int, size_bytes: int) -> None:
        self._bytes += size_bytes
        if not job.principal.trusted:
            self._others += jobs
            return
        self._trusted[job.principal.name] += jobs
        if not self._trusted[job.principal.name]:
            del self._trusted[job.principal.name]
