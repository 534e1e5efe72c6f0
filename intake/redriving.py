"""A job that ended badly runs again because somebody says so.

Owns which jobs may and what happens to those that already do. Not owned: what becomes of the record
(``jobs.transitions.reopen``) and of ComfyUI's list (``host.listing``).
"""

from __future__ import annotations

from ..jobs.awaiting import Awaiter
from ..jobs.errors import Conflict
from ..jobs.model import Job
from ..jobs.transitions import REOPENABLE, is_terminal
from ..store.base import JobStore


class Redriver:
    """See the module's docstring."""

    def __init__(self, store: JobStore, awaiter: Awaiter) -> None:
        """``awaiter`` waits for the store."""
        self._store = store
        self._wait = awaiter.settled

    async def redrive(self, job: Job) -> Job:
        """The job, queued again; an unfinished one as it is. Committed when this returns.

        Raises ``Conflict`` for a job that succeeded or whose partner key is gone.
        """
        if not is_terminal(job.status):
            return job
        self._check(job)
        try:
            return await self._wait(self._store.redrive(job.id))
        except Conflict:
            fresh = await self._wait(self._store.get(job.id))
            if fresh is None or is_terminal(fresh.status):
                raise
            return fresh  # somebody else was a moment faster

    def _check(self, job: Job) -> None:
        details = {"job_id": job.id, "status": job.status.value}
        if job.status not in REOPENABLE:
            message = (
                f"Job {job.id} is {job.status.value}; only one that failed, was cancelled or expired can run again."
            )
            raise Conflict(message, details=details)
        if job.needs_secret:
            message = f"Job {job.id} came with a partner key, which is not kept. Submit it again."
            raise Conflict(message, details=details)
