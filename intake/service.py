"""The use cases: submit, validate, get, list, cancel, reprioritise, look at the queue.

Owns their order of steps. Rules live beside it (``submission``, ``validation``), storage in ``store``, the way into
ComfyUI behind ``QueueDoor``. Nothing here blocks the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ..jobs.awaiting import Awaiter
from ..jobs.entry import Entry
from ..jobs.errors import Conflict, InputInvalid, NotFound, Refused, StoreUnavailable
from ..jobs.estimate import signature
from ..jobs.model import Job, JobStatus, JsonObject, Principal, RequestKey, Source
from ..jobs.principals import PrincipalRules, principal_of
from ..jobs.transitions import is_terminal
from ..store.base import JobQuery, JobStore, QueueSummary, Reprioritise
from .core_faults import faults_of
from .depth import QueueDepth
from .envelope import known_targets
from .faults import refusal
from .idempotency import Repeats
from .ports import CoreValidator, QueueDoor, Runs
from .request_keys import request_key
from .submission import SubmitRequest, parse_submission
from .validation import Checked
from .views import DepthView, JobListing, JobView, QueueView, Submitted, Verdict

_T = TypeVar("_T")


class Validation(Protocol):
    """The stages of ``intake.validation`` that the service uses."""

    def submit(self, prompt: object) -> Checked:
        """All stages; raises a ``Refused`` with every fault."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the edge saw it: the peer's address and what it wrote into the trusted user header.

    ``key``: its ``Idempotency-Key``, if it sent one.
    """

    remote: str | None
    user: str | None = None
    key: str | None = None


class JobService:
    """See the module's docstring. One object per server; safe to use from one event loop."""

    def __init__(  # noqa: PLR0913 - all collaborators, by name
        self,
        *,
        store: JobStore,
        validation: Validation,
        core: CoreValidator,
        door: QueueDoor,
        depth: QueueDepth,
        runs: Runs,
        principals: PrincipalRules,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        awaiter: Awaiter,
        repeats: Repeats,
    ) -> None:
        """``awaiter`` waits for the store; ``new_id`` makes canonical UUIDs; ``repeats`` knows requests that came before."""
        self._store = store
        self._validation = validation
        self._core = core
        self._door = door
        self._depth = depth
        self._runs = runs
        self._principals = principals
        self._clock = clock
        self._new_id = new_id
        self._awaiter = awaiter
        self._repeats = repeats

    async def submit(self, fields: JsonObject, caller: Caller) -> Submitted:
        """Validate, admit and enqueue; the job is committed when this returns. A repeated request gets the job of the first.

        Raises ``Refused`` or ``Busy``.
        """
        request = parse_submission(fields)
        principal = self._principal(caller, request.client_id)
        key = request_key(principal, caller.key, request.prompt_id, fields)
        if key is None:
            return Submitted(await self._seen(await self._enter(request, principal, None)))
        with await self._repeats.turn(principal, key) as turn:
            job = turn.earlier
            if job is None:
                job = await self._enter(request, principal, key)
                turn.done(job.id)
        return Submitted(await self._seen(job), repeated=turn.earlier is not None)

    async def _enter(self, request: SubmitRequest, principal: Principal, key: RequestKey | None) -> Job:
        prompt_id = request.prompt_id or self._new_id()
        if request.prompt_id is not None and await self._wait(self._store.get(prompt_id)) is not None:
            raise Conflict(f"Job {prompt_id} is known already.", details={"job_id": prompt_id})
        self._depth.check(principal)  # what has no chance is not worth its validation
        prompt, outputs = await self._judge(prompt_id, request)
        entry = Entry(
            prompt_id=prompt_id,
            prompt=prompt,
            extra_data=_extra_data(request),
            outputs_to_execute=outputs,
            priority=request.priority,
            principal=principal,
            source=Source.SUBMIT,
            front=request.front,
            number=request.number,
            metadata=request.metadata,
            request_key=key,
        )
        return await self._door.enter(entry)

    async def _seen(self, job: Job) -> JobView:
        try:
            return await self._view(job)
        except StoreUnavailable:
            # The job is committed: that is the answer, with or without its place in the queue.
            return JobView(job=job)

    async def validate(self, fields: JsonObject) -> Verdict:
        """A dry run of submit that changes nothing. Raises what submit would raise."""
        request = parse_submission(fields)
        prompt, outputs = await self._judge(request.prompt_id or self._new_id(), request)
        estimated_s = await self._wait(self._store.estimate(signature(prompt)))
        return Verdict(priority=request.priority, nodes=len(prompt), outputs=outputs, estimated_s=estimated_s)

    async def get(self, job_id: str) -> JobView:
        """One job. Raises ``NotFound``."""
        return await self._view(await self._known(job_id))

    async def list(self, query: JobQuery) -> JobListing:
        """Jobs by filter, newest first. Raises ``InputInvalid`` for a cursor that is not ours."""
        page = await self._wait(self._store.page(query))
        # One after the other: a long page must not stand in front of all other questions to the store.
        views = [await self._view(job) for job in page.jobs]
        return JobListing(jobs=tuple(views), next_cursor=page.next_cursor)

    async def cancel(self, job_id: str) -> JobView:
        """Cancel a job; idempotent. A running one is interrupted, now or at its first sign of life."""
        asked = self._store.cancel(job_id)
        asked.add_done_callback(self._canceled)
        return await self._view(await self._wait(asked))

    async def reprioritise(self, job_id: str, change: Reprioritise) -> JobView:
        """Give a waiting job another place. Raises ``NotFound``, or ``Conflict`` when it does not wait."""
        job = await self._wait(self._store.reprioritise(job_id, change))
        self._door.wake()
        return await self._view(job)

    async def queue(self) -> QueueView:
        """Depth by priority and principal, and the work in it."""
        summary = await self._wait(self._store.summary())
        return _queue_view(summary, self._clock(), self._runs.worked_off_s(), self._depth.drain_rate())

    async def _judge(self, prompt_id: str, request: SubmitRequest) -> tuple[JsonObject, tuple[str, ...]]:
        checked = self._validation.submit(request.prompt)
        targets = None if request.targets is None else known_targets(request.targets, checked.prompt)
        verdict = await self._core.validate(prompt_id, checked.prompt, targets)
        if not verdict.valid or verdict.node_errors:
            raise _refusal(verdict.error, verdict.node_errors)
        return checked.prompt, verdict.outputs_to_execute

    def _canceled(self, asked: Future[Job]) -> None:
        # Called when it is committed, on the store's thread: also when the client's wait for that ran out.
        if asked.exception() is not None:
            return
        job = asked.result()
        if job.status is JobStatus.CANCELING:
            self._runs.interrupt(job.id, job.attempt)
        else:
            self._door.remove(job.id)

    def _principal(self, caller: Caller, client_id: str | None) -> Principal:
        return principal_of(self._principals, caller.remote, caller.user, client_id)

    async def _known(self, job_id: str) -> Job:
        job = await self._wait(self._store.get(job_id))
        if job is None:
            raise NotFound(f"There is no job {job_id[:80]}.", details={"job_id": job_id[:80]})
        return job

    async def _view(self, job: Job) -> JobView:
        if is_terminal(job.status):
            return JobView(job=job)
        if job.status is JobStatus.QUEUED:
            place = await self._wait(self._store.place(job.id))
            if place is None:
                return await self._moved_on(job)
            ahead_s = max(place.work_ahead_s - self._runs.worked_off_s(), 0.0)
            return JobView(job=job, position=place.position, eta_s=ahead_s + job.estimated_s)
        ran_s = self._runs.running_for_s(job.id) or 0.0
        return JobView(job=job, eta_s=max(job.estimated_s - ran_s, 0.0), progress=self._runs.progress(job.id))

    async def _moved_on(self, job: Job) -> JobView:
        # It waited when it was read and was claimed before its place was: an idle machine does that with every job.
        fresh = await self._wait(self._store.get(job.id)) or job
        return JobView(job=fresh) if fresh.status is JobStatus.QUEUED else await self._view(fresh)

    async def _wait(self, future: Future[_T]) -> _T:
        return await self._awaiter.settled(future)


def _extra_data(request: SubmitRequest) -> JsonObject:
    extra = dict(request.extra_data)
    if request.client_id is not None:
        extra["client_id"] = request.client_id
    return extra


def _refusal(error: JsonObject | None, node_errors: JsonObject) -> Refused:
    faults = faults_of(error, node_errors)
    return refusal(faults, len(faults)) if faults else InputInvalid("ComfyUI does not accept this prompt.")


def _queue_view(summary: QueueSummary, now_s: float, worked_off_s: float, drain_rate: float) -> QueueView:
    waiting = [row for row in summary.rows if row.status is JobStatus.QUEUED]
    running = [row for row in summary.rows if row.status is not JobStatus.QUEUED]
    work_s = sum(row.work_s for row in summary.rows) - worked_off_s
    oldest = summary.oldest_queued_at_s
    return QueueView(
        waiting=sum(row.jobs for row in waiting),
        running=sum(row.jobs for row in running),
        work_s=max(work_s, 0.0),
        by_priority=_grouped((row.priority, row.jobs, row.work_s) for row in waiting),
        by_principal=_grouped((row.principal, row.jobs, row.work_s) for row in waiting),
        oldest_wait_s=None if oldest is None else max(now_s - oldest, 0.0),
        drain_rate_jobs_per_s=drain_rate,
    )


_K = TypeVar("_K", int, str)


def _grouped(rows: Iterable[tuple[_K, int, float]]) -> dict[_K, DepthView]:
    groups: dict[_K, DepthView] = {}
    for key, jobs, work_s in rows:
        before: Any = groups.get(key, DepthView(0, 0.0))
        groups[key] = DepthView(before.jobs + jobs, before.work_s + work_s)
    return dict(sorted(groups.items()))
