"""The writing verbs of the queue, once for every storage of ours: what each does to a ledger and which events it yields.

Owns the meaning of ``enqueue``, ``claim``, ``finish`` and the others. Does not own threads, transactions or files
(the stores), the moves between statuses (``jobs.transitions``) or the arithmetic of the order (``jobs.ordering``).
A verb raises before its first change, so that a ledger without transactions is left as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from ..jobs import ordering, transitions
from ..jobs.errors import Conflict, InputInvalid, NotFound
from ..jobs.estimate import DEFAULT_ESTIMATE_S, next_mean
from ..jobs.events import JobEvent
from ..jobs.model import Cause, Claim, Ending, Job, JobStatus, NewJob
from ..jobs.ordering import OrderPolicy
from .base import MAX_DEATHS, Clock, Recovered, Reprioritise
from .ledger import ALL_SIGNATURES, KnownRows, Ledger

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What a verb came to: its ``value`` for the caller and the ``events`` to tell once it is committed."""

    value: T
    events: tuple[JobEvent, ...] = ()


Verb = Callable[[], Done[Any]]
"""A verb with its arguments bound, to be run by the store's thread."""


def estimate_s(ledger: KnownRows, signature: str) -> float:
    """The estimate of ``JobStore.estimate``."""
    own = ledger.mean_run_s(signature) if signature != ALL_SIGNATURES else None
    if own is not None:
        return own
    overall = ledger.mean_run_s(ALL_SIGNATURES)
    return DEFAULT_ESTIMATE_S if overall is None else overall


class Verbs:
    """The verbs on one ledger. ``boot_id`` names this process's life in the attempts that it opens."""

    def __init__(self, ledger: Ledger, policy: OrderPolicy, clock: Clock, boot_id: str) -> None:
        """Touch nothing yet; ``clock`` is asked once per verb that needs the time."""
        self._ledger = ledger
        self._policy = policy
        self._clock = clock
        self._boot_id = boot_id
        self._owed: set[str] = set()

    def enqueue(self, new: NewJob) -> Done[Job]:
        """See ``JobStore.enqueue``; ``InputInvalid`` for text that no UTF-8 can hold."""
        _refuse_broken_text(new)
        ledger, principal = self._ledger, new.principal.name
        if ledger.job(new.id) is not None:
            raise Conflict(f"The id {new.id} is known already.", details={"job_id": new.id})
        virtual_time = self._virtual_time()
        self._refund(principal, virtual_time)
        estimated = estimate_s(ledger, new.signature)
        tags = ordering.tag(
            virtual_time, ledger.finish_tags(principal), new.priority, estimated, self._policy.weight(principal)
        )
        # A job put in front counts as started now: with its tag behind the owner's backlog, its claim would move the
        # virtual time past that backlog and every newcomer behind it.
        start_tag = virtual_time if new.front else tags.start
        score = ordering.score(self._policy, start_tag, new.priority)
        if new.front:
            score = ordering.front_score(score, ledger.head_score(but=new.id))
        now_s = self._clock()
        job = _queued(new, ledger.next_seq(), now_s, start_tag, score, estimated)
        ledger.add(job, new.payload)
        ledger.set_finish_tag(principal, new.priority, tags.finish)
        return Done(job, (JobEvent.of(job, now_s),))

    def claim(self) -> Done[Claim | None]:
        """See ``JobStore.claim``."""
        head = self._ledger.head()
        if head is None:
            return Done(None)
        payload = self._ledger.payload(head.id)
        assert payload is not None, "a job is stored together with its payload"
        job, event = transitions.start(head, self._clock(), self._boot_id)
        self._ledger.save(job)
        self._ledger.set_virtual_time(ordering.virtual_time_at_claim(self._ledger.virtual_time(), job.start_tag))
        return Done(Claim(job, payload, job.attempt), (event,))

    def finish(self, job_id: str, attempt: int, ending: Ending) -> Done[Job]:
        """See ``JobStore.finish``."""
        job = self._known(job_id)
        if not job.attempts or job.attempts[-1].outcome is not None or job.attempt != attempt:
            raise Conflict(
                f"Attempt {attempt} of job {job_id} is not its current one; its late result is refused.",
                details={"job_id": job_id, "status": job.status.value, "attempt": attempt},
            )
        job, events = transitions.settle(job, ending)
        self._ledger.save(job)
        if job.status is JobStatus.SUCCEEDED and not job.cached:
            self._learn(job.signature, ending.run_s)
        return Done(job, events)

    def cancel(self, job_id: str, cause: Cause) -> Done[Job]:
        """See ``JobStore.cancel``."""
        job, events = transitions.withdraw(self._known(job_id), self._clock(), cause)
        if events:
            self._ledger.save(job)
        if job.status is JobStatus.CANCELED:
            self._owed.add(job.principal.name)
        return Done(job, events)

    def reprioritise(self, job_id: str, change: Reprioritise) -> Done[Job]:
        """See ``JobStore.reprioritise``. The new level is charged as for a new arrival."""
        job = self._queued_job(job_id)
        virtual_time = self._virtual_time()
        if change.priority is not None:
            job = self._relevel(job, change.priority, virtual_time)
        if change.front:
            start_tag = min(job.start_tag, virtual_time)
            score = ordering.front_score(job.score, self._ledger.head_score(but=job.id))
            job = replace(job, start_tag=start_tag, score=score)
        self._ledger.save(job)
        return Done(job, (JobEvent.reprioritised(job, self._clock()),))

    def fail_queued(self, job_id: str, ending: Ending) -> Done[Job]:
        """See ``JobStore.fail_queued``."""
        job, event = transitions.advance(
            self._queued_job(job_id), JobStatus.FAILED, ending.finished_at_s, cause=ending.cause, error=ending.error
        )
        self._ledger.save(job)
        return Done(job, (event,))

    def probe(self) -> Done[None]:
        """See ``JobStore.probe``."""
        self._ledger.touch()
        return Done(None)

    def recover(self) -> Done[Recovered]:
        """See ``JobStore.recover``. No verb leaves a job ``retrying``, so none is looked for."""
        now_s = self._clock()
        dead = [job for job in self._ledger.on_machine() if job.attempts[-1].boot_id != self._boot_id]
        settled = [transitions.recover(job, now_s, MAX_DEATHS) for job in dead]
        for job, _ in settled:
            self._ledger.save(job)
        ends = [job.status for job, _ in settled]
        recovered = Recovered(
            waiting=tuple((job, payload) for job in self._ledger.queued() if (payload := self._ledger.payload(job.id))),
            requeued=ends.count(JobStatus.QUEUED),
            failed=ends.count(JobStatus.FAILED),
        )
        return Done(recovered, tuple(event for _, events in settled for event in events))

    def rescore(self) -> None:
        """Score every waiting job by this policy: for a storage that was written under another. A front is forgotten."""
        for job in [*self._ledger.queued(), *self._ledger.on_machine()]:
            self._ledger.save(replace(job, score=ordering.score(self._policy, job.start_tag, job.priority)))

    def _virtual_time(self) -> float:
        """The virtual time for a new tag; moved on first when nothing waits or runs."""
        virtual_time = self._ledger.virtual_time()
        if not self._ledger.idle():
            return virtual_time
        moved = ordering.virtual_time_when_idle(virtual_time, self._ledger.largest_finish_tag())
        if moved != virtual_time:
            self._ledger.set_virtual_time(moved)
        return moved

    def _refund(self, principal: str, virtual_time: float) -> None:
        """Take back what was charged for jobs that were cancelled while they waited: their work was never done.

        Done at the principal's next arrival, once for all of them; what remains keeps its place, and the arrival stands
        behind it. Owed in memory only: a restart in between costs a principal this, nothing else.
        """
        if principal not in self._owed:
            return
        self._owed.discard(principal)
        weight = self._policy.weight(principal)
        left: dict[int, float] = {}
        for job in (*self._ledger.queued(), *self._ledger.on_machine()):
            if job.principal.name == principal:
                finish = ordering.finish_tag(job.start_tag, job.estimated_s, weight)
                left[job.priority] = max(finish, left.get(job.priority, finish))
        for level, charged in self._ledger.finish_tags(principal).items():
            kept = left.get(level, virtual_time)
            if kept < charged:
                self._ledger.set_finish_tag(principal, level, kept)

    def _relevel(self, job: Job, priority: int, virtual_time: float) -> Job:
        name = job.principal.name
        known, weight = self._ledger.finish_tags(name), self._policy.weight(name)
        tags = ordering.retag(job.start_tag, virtual_time, known, priority, job.estimated_s, weight)
        charged = ordering.charge(virtual_time, known, priority, tags.finish)
        if charged is not None:
            self._ledger.set_finish_tag(name, priority, charged)
        score = ordering.score(self._policy, tags.start, priority)
        return replace(job, priority=priority, start_tag=tags.start, score=score)

    def _learn(self, signature: str, run_s: float) -> None:
        names = dict.fromkeys((signature, ALL_SIGNATURES))
        self._ledger.set_mean_run_s([(name, next_mean(self._ledger.mean_run_s(name), run_s)) for name in names])

    def _known(self, job_id: str) -> Job:
        job = self._ledger.job(job_id)
        if job is None:
            raise NotFound(f"There is no job {job_id}.", details={"job_id": job_id})
        return job

    def _queued_job(self, job_id: str) -> Job:
        job = self._known(job_id)
        if job.status is not JobStatus.QUEUED:
            raise Conflict(
                f"Job {job_id} is {job.status.value} and does not wait.",
                details={"job_id": job_id, "status": job.status.value},
            )
        return job


def _queued(new: NewJob, seq: int, now_s: float, start_tag: float, score: float, estimated_s_: float) -> Job:
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
        start_tag=start_tag,
        score=score,
        estimated_s=estimated_s_,
        signature=new.signature,
        client_id=new.client_id,
        metadata=new.metadata,
        node_count=new.node_count,
        prompt_length=new.prompt_length,
        needs_secret=new.needs_secret,
    )


def _refuse_broken_text(new: NewJob) -> None:
    payload = new.payload
    texts = (new.id, new.principal.name, new.signature, new.client_id or "")
    try:
        for text in (*texts, payload.prompt_json, payload.extra_json, payload.outputs_json):
            if not text.isascii():
                text.encode("utf-8")
    except UnicodeEncodeError as fault:
        raise InputInvalid("The request holds half a surrogate pair, which no UTF-8 text can hold.") from fault
