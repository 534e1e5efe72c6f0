"""The surface of a store whose verbs run on a thread: ``JobStore``'s verbs as futures.

Owns only the hand-over. What the verbs mean stands in ``verbs`` and ``reading``; how a batch becomes durable and which
thread reads is the subclass's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from typing import TypeVar

from ..jobs.leftovers import FileName
from ..jobs.log import LogPage, LogQuery
from ..jobs.model import Cause, Claim, Ending, Job, JobStatus, NewJob, Payload
from ..jobs.waits import JobWait
from .base import Finished, KeptFor, KeyedJob, Naming, Recovered, RecoveryRule, Reprioritise, Ticked
from .batches import Batch, NewBatch
from .done import Done
from .moving import Adopted, Carried
from .reading import Reading
from .records import Ahead, EstimateBasis, JobPage, JobQuery, Place, QueueSummary
from .verbs import Verbs
from .worker import AskedKey

T = TypeVar("T")


class ThreadedStore(ABC):
    """All verbs of ``JobStore``; a subclass says where a verb runs, and opens and closes."""

    @abstractmethod
    def _write(
        self, verb: Callable[[Verbs], Done[T]], job_id: str | None = None, key: AskedKey | None = None
    ) -> Future[T]:
        """Run a writing verb after all that were asked before, and commit it. ``job_id``: the only job it touches."""

    @abstractmethod
    def _read(self, verb: Callable[[Reading], Done[T]], job_id: str | None = None) -> Future[T]:
        """Run a reading verb so that it sees every writing verb asked before. ``job_id``: the only job it looks at."""

    def enqueue(self, job: NewJob) -> Future[Job]:
        """See ``JobStore.enqueue``."""
        key = None if job.request_key is None else (job.principal.name, job.request_key.key)
        return self._write(lambda verbs: verbs.enqueue(job), job.id, key)

    def enqueue_all(self, batch: NewBatch | None, jobs: Sequence[NewJob]) -> Future[tuple[Job, ...]]:
        """See ``BatchStore.enqueue_all``."""
        new_jobs = tuple(jobs)
        keys = [(job.principal.name, job.request_key.key) for job in new_jobs[:1] if job.request_key is not None]
        return self._write(lambda verbs: verbs.enqueue_all(batch, new_jobs), key=next(iter(keys), None))

    def claim(
        self, resident: AbstractSet[str] = frozenset(), unfit: AbstractSet[str] = frozenset()
    ) -> Future[Claim | None]:
        """See ``JobStore.claim``."""
        return self._write(lambda verbs: verbs.claim(resident, unfit))

    def give_back(self, job_id: str, attempt: int) -> Future[Job]:
        """See ``JobStore.give_back``."""
        return self._write(lambda verbs: verbs.give_back(job_id, attempt), job_id)

    def set_metadata(self, job_id: str, attempt: int, pairs: Mapping[str, str]) -> Future[Job]:
        """See ``JobStore.set_metadata``."""
        kept = dict(pairs)
        return self._write(lambda verbs: verbs.set_metadata(job_id, attempt, kept), job_id)

    def finish(self, job_id: str, attempt: int, ending: Ending) -> Future[Job]:
        """See ``JobStore.finish``."""
        return self._write(lambda verbs: verbs.finish(job_id, attempt, ending), job_id)

    def retry(self, job_id: str, attempt: int, ending: Ending, not_before_s: float | None) -> Future[Job]:
        """See ``JobStore.retry``."""
        return self._write(lambda verbs: verbs.retry(job_id, attempt, ending, not_before_s), job_id)

    def rerun(self, job_id: str, attempt: int, ending: Ending) -> Future[Job]:
        """See ``JobStore.rerun``."""
        return self._write(lambda verbs: verbs.rerun(job_id, attempt, ending), job_id)

    def park(self, job_id: str, attempt: int, waits: Sequence[JobWait], ending: Ending) -> Future[Job]:
        """See ``JobStore.park``."""
        return self._write(lambda verbs: verbs.park(job_id, attempt, tuple(waits), ending), job_id)

    def answer(self, job_id: str, token: str, message: str) -> Future[Job]:
        """See ``JobStore.answer``."""
        return self._write(lambda verbs: verbs.answer(job_id, token, message), job_id)

    def cancel(self, job_id: str, cause: Cause = Cause.CANCELED) -> Future[Job]:
        """See ``JobStore.cancel``."""
        return self._write(lambda verbs: verbs.cancel(job_id, cause), job_id)

    def reprioritise(self, job_id: str, change: Reprioritise) -> Future[Job]:
        """See ``JobStore.reprioritise``."""
        return self._write(lambda verbs: verbs.reprioritise(job_id, change), job_id)

    def fail_queued(self, job_id: str, ending: Ending) -> Future[Job]:
        """See ``JobStore.fail_queued``."""
        return self._write(lambda verbs: verbs.fail_queued(job_id, ending), job_id)

    def hold(self, job_id: str, held: bool) -> Future[Job]:
        """See ``JobStore.hold``."""
        return self._write(lambda verbs: verbs.hold(job_id, held), job_id)

    def redrive(self, job_id: str) -> Future[Job]:
        """See ``JobStore.redrive``."""
        return self._write(lambda verbs: verbs.redrive(job_id), job_id)

    def adopt(self, jobs: Sequence[Carried], shift_s: float | None = None) -> Future[Adopted]:
        """See ``MovingStore.adopt``."""
        carried = tuple(jobs)
        return self._write(lambda verbs: verbs.adopt(carried, shift_s))

    def let_go(self, job_ids: Sequence[str]) -> Future[tuple[str, ...]]:
        """See ``MovingStore.let_go``."""
        return self._write(lambda verbs: verbs.let_go(job_ids))

    def pause(self, paused: bool) -> Future[None]:
        """See ``JobStore.pause``."""
        return self._write(lambda verbs: verbs.pause(paused))

    def tick(self) -> Future[Ticked]:
        """See ``JobStore.tick``."""
        return self._write(lambda verbs: verbs.tick())

    def stopping(self) -> Future[int]:
        """See ``JobStore.stopping``."""
        return self._write(lambda verbs: verbs.stopping())

    def prune(self, job_ids: Sequence[str]) -> Future[int]:
        """See ``JobStore.prune``."""
        return self._write(lambda verbs: verbs.prune(job_ids))

    def forget(self, keys_before_s: float, pruned_before_s: float) -> Future[None]:
        """See ``JobStore.forget``."""
        return self._write(lambda verbs: verbs.forget(keys_before_s, pruned_before_s))

    def forget_history(self, job_ids: Sequence[str] | None = None) -> Future[None]:
        """See ``JobStore.forget_history``."""
        return self._write(lambda verbs: verbs.forget_history(job_ids))

    def probe(self) -> Future[None]:
        """See ``JobStore.probe``."""
        return self._write(lambda verbs: verbs.probe())

    def recover(self, rule: RecoveryRule = RecoveryRule()) -> Future[Recovered]:  # noqa: B008 - a frozen value
        """See ``JobStore.recover``."""
        return self._write(lambda verbs: verbs.recover(rule))

    def get(self, job_id: str) -> Future[Job | None]:
        """See ``JobStore.get``."""
        return self._read(lambda reading: reading.get(job_id), job_id)

    def payload(self, job_id: str) -> Future[Payload | None]:
        """See ``JobStore.payload``."""
        return self._read(lambda reading: reading.payload(job_id), job_id)

    def carried(self, job_ids: Sequence[str]) -> Future[tuple[Carried, ...]]:
        """See ``MovingStore.carried``."""
        return self._read(lambda reading: reading.carried(job_ids))

    def maker(self, asset_id: str) -> Future[Job | None]:
        """See ``JobStore.maker``."""
        return self._read(lambda reading: reading.maker(asset_id))

    def page(self, query: JobQuery) -> Future[JobPage]:
        """See ``JobStore.page``."""
        return self._read(lambda reading: reading.page(query))

    def batch(self, batch_id: str) -> Future[Batch | None]:
        """See ``BatchStore.batch``."""
        return self._read(lambda reading: reading.batch(batch_id))

    def place(self, job_id: str) -> Future[Place | None]:
        """See ``JobStore.place``."""
        return self._read(lambda reading: reading.place(job_id), job_id)

    def places(self, job_ids: Sequence[str]) -> Future[Mapping[str, Place]]:
        """See ``JobStore.places``."""
        return self._read(lambda reading: reading.places(job_ids))

    def ahead(self, job_id: str) -> Future[Ahead | None]:
        """See ``JobStore.ahead``."""
        return self._read(lambda reading: reading.ahead(job_id), job_id)

    def keyed(self, principal: str, key: str) -> Future[KeyedJob | None]:
        """See ``JobStore.keyed``."""
        return self._read(lambda reading: reading.keyed(principal, key))

    def was_pruned(self, job_id: str) -> Future[bool]:
        """See ``JobStore.was_pruned``."""
        return self._read(lambda reading: reading.was_pruned(job_id), job_id)

    def prunable(
        self, kept: Mapping[JobStatus, KeptFor], limit: int, spared: AbstractSet[str] = frozenset()
    ) -> Future[tuple[Job, ...]]:
        """See ``JobStore.prunable``."""
        return self._read(lambda reading: reading.prunable(kept, limit, spared))

    def naming(
        self, outputs: AbstractSet[FileName], texts: AbstractSet[str], but: AbstractSet[str], after_seq: int
    ) -> Future[Naming]:
        """See ``JobStore.naming``."""
        return self._read(lambda reading: reading.naming(outputs, texts, but, after_seq))

    def finished(self, limit: int, home: str | None = None) -> Future[tuple[Finished, ...]]:
        """See ``JobStore.finished``."""
        return self._read(lambda reading: reading.finished(limit, home))

    def history(self, job_id: str) -> Future[Finished | None]:
        """See ``JobStore.history``."""
        return self._read(lambda reading: reading.history(job_id), job_id)

    def events(self, query: LogQuery) -> Future[LogPage]:
        """See ``EventLog.events``."""
        return self._read(lambda reading: reading.events(query), query.job_id)

    def last_position(self) -> Future[int]:
        """See ``EventLog.last_position``."""
        return self._read(lambda reading: reading.last_position())

    def summary(self) -> Future[QueueSummary]:
        """See ``JobStore.summary``."""
        return self._read(lambda reading: reading.summary())

    def estimate(self, signature: str) -> Future[float]:
        """See ``JobStore.estimate``."""
        return self._read(lambda reading: reading.estimate(signature))

    def basis(self, signature: str) -> Future[EstimateBasis]:
        """See ``JobStore.basis``."""
        return self._read(lambda reading: reading.basis(signature))
