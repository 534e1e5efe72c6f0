"""The verbs on jobs that wait: enqueue (one or many), redrive, reprioritise, hold, answer, cancel, fail.

Owns what each does to a ledger and which events it yields. A verb raises before its first change, so that a ledger
without transactions is left as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..jobs import transitions
from ..jobs.errors import Conflict, InputInvalid, NotFound
from ..jobs.events import JobEvent
from ..jobs.model import Cause, Ending, Job, JobStatus, NewJob
from .base import KEY_LIFE_S, Reprioritise
from .batches import NewBatch
from .done import Done
from .due import DueTimes
from .ledger import Ledger, StoredKey, estimate_s
from .standing import Spot, Standing


class Arrivals:
    """See the module's docstring."""

    def __init__(self, ledger: Ledger, standing: Standing, times: DueTimes) -> None:
        """Touch nothing yet."""
        self._ledger = ledger
        self._standing = standing
        self._times = times

    def enqueue(self, new: NewJob) -> Done[Job]:
        """See ``JobStore.enqueue``; ``InputInvalid`` for text that no UTF-8 can hold. An id that was pruned is known too."""
        _refuse_broken_text(new)
        ledger = self._ledger
        if ledger.job(new.id) is not None or ledger.was_pruned(new.id):
            raise Conflict(f"The id {new.id} is known already.", details={"job_id": new.id})
        now_s = self._times.now_s()
        key = self._fresh_key(new, now_s)
        if not new.must_enter:
            ledger.require_room((new,))
        job = self._add(new, now_s, key)
        return Done(job, (JobEvent.of(job, now_s),))

    def enqueue_all(self, batch: NewBatch | None, new_jobs: Sequence[NewJob]) -> Done[tuple[Job, ...]]:
        """See ``BatchStore.enqueue_all``. Each job gets the place that it would get if they came one after the other."""
        self._refuse_batch(batch, new_jobs)
        now_s = self._times.now_s()
        keys = [self._fresh_key(new, now_s) for new in new_jobs]
        asked = [(key.principal, key.key) for key in keys if key is not None]
        if len(set(asked)) < len(asked):
            raise Conflict("Two jobs of one call have the same request key.")
        self._ledger.require_room(new_jobs)
        jobs = tuple(self._add(new, now_s, key) for new, key in zip(new_jobs, keys, strict=True))
        if batch is not None:
            self._ledger.add_batch(batch)
        return Done(jobs, tuple(JobEvent.of(job, now_s) for job in jobs))

    def redrive(self, job_id: str) -> Done[Job]:
        """See ``JobStore.redrive``."""
        now_s = self._times.now_s()
        job, _ = transitions.reopen(known(self._ledger, job_id), now_s)
        estimated_s = estimate_s(self._ledger, job.signature)
        spot = self._standing.arrive(job.id, job.principal.name, job.priority, estimated_s, front=False)
        job = replace(job, start_tag=spot.start_tag, score=spot.score, estimated_s=estimated_s)
        self._ledger.save(job)
        self._ledger.set_history(job, None)
        return Done(job, (JobEvent.of(job, now_s),))

    def cancel(self, job_id: str, cause: Cause) -> Done[Job]:
        """See ``JobStore.cancel``."""
        job = known(self._ledger, job_id)
        waited, unran = job.in_line, job.status is JobStatus.QUEUED
        job, events = transitions.withdraw(_let_go(job), self._times.now_s(), cause)
        if events:
            self._ledger.save(job)
        if waited:
            self._ledger.set_history(job, "")
        if unran:
            self._standing.owe(job)
        return Done(job, events)

    def answer(self, job_id: str, token: str, message: str) -> Done[Job]:
        """See ``JobStore.answer``."""
        job = transitions.answer(known(self._ledger, job_id), token, message, self._times.now_s())
        self._ledger.save(job)
        return Done(job)

    def reprioritise(self, job_id: str, change: Reprioritise) -> Done[Job]:
        """See ``JobStore.reprioritise``. The new level is charged as for a new arrival."""
        job = waiting(self._ledger, job_id)
        now_s = self._times.now_s()
        if change.priority is not None:
            job = self._standing.relevel(job, change.priority)
        if change.front:
            job = self._standing.to_front(job)
        self._ledger.save(job)
        return Done(job, (JobEvent.reprioritised(job, now_s),))

    def fail_queued(self, job_id: str, ending: Ending) -> Done[Job]:
        """See ``JobStore.fail_queued``."""
        job = known(self._ledger, job_id)
        job = _let_go(job if job.in_line else waiting(self._ledger, job_id))
        message = None if ending.error is None else ending.error.message
        job = transitions.leave(job, ending.finished_at_s, JobStatus.FAILED, ending.cause, message)
        job, event = transitions.advance(
            job, JobStatus.FAILED, ending.finished_at_s, cause=ending.cause, error=ending.error
        )
        self._ledger.save(job)
        self._ledger.set_history(job, ending.history_json or "")
        return Done(job, (event,))

    def hold(self, job_id: str, held: bool) -> Done[Job]:
        """See ``JobStore.hold``."""
        job = waiting(self._ledger, job_id)
        if job.held == held:
            return Done(job)
        job = replace(job, held=held)
        self._ledger.save(job)
        return Done(job, (JobEvent.hold(job, self._times.now_s()),))

    def _refuse_batch(self, batch: NewBatch | None, new_jobs: Sequence[NewJob]) -> None:
        """Every reason for which a job of the call, or the batch, cannot enter, before anything is changed."""
        if not new_jobs:
            raise InputInvalid("There is no job to store.")
        for new in new_jobs:
            _refuse_broken_text(new)
        ids = [new.id for new in new_jobs]
        known_ids = self._ledger.known_ids(frozenset(ids))
        twice = (job_id for at, job_id in enumerate(ids) if job_id in known_ids or job_id in ids[:at])
        clash = next(twice, None) if known_ids or len(set(ids)) < len(ids) else None
        if clash is not None:
            raise Conflict(f"The id {clash} is known already.", details={"job_id": clash})
        if batch is None:
            return
        if any(new.slot is None or new.slot.batch_id != batch.id for new in new_jobs):
            raise InputInvalid(f"A job of the call does not name batch {batch.id} in its slot.")
        if self._ledger.has_batch(batch.id) or self._ledger.was_pruned(batch.id):
            raise Conflict(f"The batch {batch.id} is known already.", details={"batch_id": batch.id})

    def _add(self, new: NewJob, now_s: float, key: StoredKey | None) -> Job:
        ledger = self._ledger
        estimated_s = estimate_s(ledger, new.signature)
        spot = self._standing.arrive(new.id, new.principal.name, new.priority, estimated_s, front=new.front)
        job = _queued(new, ledger.next_seq(), now_s, spot, estimated_s)
        ledger.add(job, new.payload)
        if key is not None:
            ledger.set_key(key)
        return job

    def _fresh_key(self, new: NewJob, now_s: float) -> StoredKey | None:
        """The request key to store with the job; ``Conflict`` if it stands for another."""
        asked = new.request_key
        if asked is None:
            return None
        stored = self._ledger.keyed(new.principal.name, asked.key)
        if stored is not None and now_s - stored.created_at_s <= KEY_LIFE_S:
            raise Conflict(
                f"The request key stands for job {stored.job_id} already.",
                details={"job_id": stored.job_id, "key": asked.key},
            )
        return StoredKey(new.principal.name, asked.key, asked.fingerprint, new.id, now_s)


def known(ledger: Ledger, job_id: str) -> Job:
    """A job; ``NotFound`` when there is none."""
    job = ledger.job(job_id)
    if job is None:
        raise NotFound(f"There is no job {job_id}.", details={"job_id": job_id})
    return job


def waiting(ledger: Ledger, job_id: str) -> Job:
    """A queued job; ``Conflict`` with the status when it does not wait."""
    job = known(ledger, job_id)
    if job.status is not JobStatus.QUEUED:
        parked = job.status is JobStatus.WAITING
        why = "waits for a person to answer, not in the queue" if parked else f"is {job.status.value} and does not wait"
        raise Conflict(
            f"Job {job_id} {why}.",
            details={"job_id": job_id, "status": job.status.value},
        )
    return job


def _let_go(job: Job) -> Job:
    """A job that is about to leave the line: only queued jobs are held."""
    return replace(job, held=False) if job.held else job


def _queued(new: NewJob, seq: int, now_s: float, spot: Spot, estimated_s_: float) -> Job:
    return Job(
        id=new.id,
        principal=new.principal,
        priority=new.priority,
        source=new.source,
        status=JobStatus.QUEUED,
        created_at_s=new.created_at_s,
        queued_at_s=now_s,
        number=float(new.number),
        seq=seq,
        start_tag=spot.start_tag,
        score=spot.score,
        estimated_s=estimated_s_,
        signature=new.signature,
        client_id=new.client_id,
        metadata=new.metadata,
        node_count=new.node_count,
        prompt_length=new.prompt_length,
        needs_secret=new.needs_secret,
        not_before_s=new.not_before_s,
        expires_at_s=new.expires_at_s,
        max_attempts=new.max_attempts,
        models=tuple(new.models),
        slot=new.slot,
        webhook=new.webhook,
        pool=new.pool,
        origin=new.origin,
    )


def _refuse_broken_text(new: NewJob) -> None:
    payload, key = new.payload, new.request_key
    texts = [new.id, new.principal.name, new.signature, new.client_id or ""]
    texts += [payload.prompt_json, payload.extra_json, payload.outputs_json]
    if key is not None:
        texts += [key.key, key.fingerprint]
    try:
        for text in texts:
            if not text.isascii():
                text.encode("utf-8")
    except UnicodeEncodeError as fault:
        raise InputInvalid("The request holds half a surrogate pair, which no UTF-8 text can hold.") from fault
