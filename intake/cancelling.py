"""Cancellation, asked of the store and followed up on the machine once it is committed.

Owns that the follow-up happens also when nobody waits for the answer any more: it runs on the store's thread, at the commit.
What only waited leaves ComfyUI's list by its committed event (``host.listing``).
"""

from __future__ import annotations

from concurrent.futures import Future

from ..jobs.model import Job, JobStatus
from ..store.base import JobStore
from .ports import Runs


class Canceller:
    """See the module's docstring."""

    def __init__(self, store: JobStore, runs: Runs) -> None:
        """What runs is interrupted through ``runs``."""
        self._store = store
        self._runs = runs

    def cancel(self, job_id: str) -> Future[Job]:
        """Ask for a job's cancellation; as ``JobStore.cancel``."""
        asked = self._store.cancel(job_id)
        asked.add_done_callback(self._follow)
        return asked

    def _follow(self, asked: Future[Job]) -> None:
        if asked.exception() is not None:
            return
        job = asked.result()
        if job.status is JobStatus.CANCELING:
            self._runs.interrupt(job.id, job.attempt)
