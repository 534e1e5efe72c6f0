"""Which attempts this life of a member has begun and knows of.

A commit whose answer was lost may have taken effect: then a job runs under this member's name and nobody runs it. Such an attempt is kept
alive by nobody, and goes back when its lease is over. Owns which those are. Used by the writing thread, and read by any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...jobs.model import Job
from .records import Kept


class OwnRuns:
    """See the module's docstring."""

    def __init__(self, boot_id: str) -> None:
        """None yet. ``boot_id``: this member's life."""
        self._boot_id = boot_id
        self._attempts: dict[str, int] = {}

    def committed(self, before: Mapping[str, Kept], after: Iterable[Job]) -> None:
        """This was committed, and whoever asked for it hears so."""
        for job in after:
            if not self.claims(job):
                self._attempts.pop(job.id, None)
                continue
            kept = before.get(job.id)
            if kept is None or kept.job.attempt != job.attempt or kept.job.in_line:
                self._attempts[job.id] = job.attempt

    def lost(self, job_id: str) -> None:
        """It is another's business now."""
        self._attempts.pop(job_id, None)

    def claims(self, job: Job) -> bool:
        """Whether the job stands as one that this life runs."""
        last = job.attempts[-1] if job.attempts else None
        return not job.in_line and last is not None and last.outcome is None and last.boot_id == self._boot_id

    def knows(self, job: Job) -> bool:
        """Whether it does run here."""
        return self.claims(job) and self._attempts.get(job.id) == job.attempt
