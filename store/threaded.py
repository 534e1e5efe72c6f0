"""The surface of a store whose verbs run on a thread: ``JobStore``'s verbs as futures.

Owns only the hand-over. What the verbs mean stands in ``verbs`` and ``reading``; how a batch becomes durable and which
thread reads is the subclass's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from ..jobs.model import Cause, Claim, Ending, Job, NewJob, Payload
from .base import JobPage, JobQuery, Place, QueueSummary, Recovered, Reprioritise
from .reading import Reading
from .verbs import Done, Verbs

T = TypeVar("T")


class ThreadedStore(ABC):
    """All verbs of ``JobStore``; a subclass says where a verb runs, and opens and closes."""

    @abstractmethod
    def _write(self, verb: Callable[[Verbs], Done[T]], job_id: str | None = None) -> Future[T]:
        """Run a writing verb after all that were asked before, and commit it. ``job_id``: the only job it touches."""

    @abstractmethod
    def _read(self, verb: Callable[[Reading], Done[T]], job_id: str | None = None) -> Future[T]:
        """Run a reading verb so that it sees every writing verb asked before. ``job_id``: the only job it looks at."""

    def enqueue(self, job: NewJob) -> Future[Job]:
        """See ``JobStore.enqueue``."""
        return self._write(lambda verbs: verbs.enqueue(job), job.id)

    def claim(self) -> Future[Claim | None]:
        """See ``JobStore.claim``."""
        return self._write(lambda verbs: verbs.claim())

    def finish(self, job_id: str, attempt: int, ending: Ending) -> Future[Job]:
        """See ``JobStore.finish``."""
        return self._write(lambda verbs: verbs.finish(job_id, attempt, ending), job_id)

    def cancel(self, job_id: str, cause: Cause = Cause.CANCELED) -> Future[Job]:
        """See ``JobStore.cancel``."""
        return self._write(lambda verbs: verbs.cancel(job_id, cause), job_id)

    def reprioritise(self, job_id: str, change: Reprioritise) -> Future[Job]:
        """See ``JobStore.reprioritise``."""
        return self._write(lambda verbs: verbs.reprioritise(job_id, change), job_id)

    def fail_queued(self, job_id: str, ending: Ending) -> Future[Job]:
        """See ``JobStore.fail_queued``."""
        return self._write(lambda verbs: verbs.fail_queued(job_id, ending), job_id)

    def probe(self) -> Future[None]:
        """See ``JobStore.probe``."""
        return self._write(lambda verbs: verbs.probe())

    def recover(self) -> Future[Recovered]:
        """See ``JobStore.recover``."""
        return self._write(lambda verbs: verbs.recover())

    def get(self, job_id: str) -> Future[Job | None]:
        """See ``JobStore.get``."""
        return self._read(lambda reading: reading.get(job_id), job_id)

    def payload(self, job_id: str) -> Future[Payload | None]:
        """See ``JobStore.payload``."""
        return self._read(lambda reading: reading.payload(job_id), job_id)

    def page(self, query: JobQuery) -> Future[JobPage]:
        """See ``JobStore.page``."""
        return self._read(lambda reading: reading.page(query))

    def place(self, job_id: str) -> Future[Place | None]:
        """See ``JobStore.place``."""
        return self._read(lambda reading: reading.place(job_id), job_id)

    def summary(self) -> Future[QueueSummary]:
        """See ``JobStore.summary``."""
        return self._read(lambda reading: reading.summary())

    def estimate(self, signature: str) -> Future[float]:
        """See ``JobStore.estimate``."""
        return self._read(lambda reading: reading.estimate(signature))
