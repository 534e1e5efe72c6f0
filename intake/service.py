"""The use cases of single jobs: submit, validate, get, list, cancel, reprioritise, hold, release, retry.

Owns their order of steps. Rules live beside it (``submission``, ``validation``), storage in ``store``, the way into
ComfyUI behind ``QueueDoor``. Nothing here blocks the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from ..jobs.awaiting import Awaiter
from ..jobs.entry import Entry
from ..jobs.errors import Conflict, NotFound, StoreUnavailable
from ..jobs.estimate import signature
from ..jobs.model import PRIORITY_MIN, Job, JsonObject, Principal, RequestKey, Source
from ..store.base import JobStore, Reprioritise
from ..store.records import JobQuery
from .cancelling import Canceller
from .ceilings import Wish
from .idempotency import Repeats
from .job_views import JobViews
from .judges import Caller, Judges
from .pools import check_served
from .ports import QueueDoor
from .redriving import Redriver
from .request_keys import request_key
from .submission import SubmitRequest, check_times, parse_submission
from .views import JobListing, JobView, Submitted, Verdict
from .webhook_field import check_webhook


class JobService:
    """See the module's docstring. One object per server; safe to use from one event loop."""

    def __init__(
        self,
        *,
        store: JobStore,
        judges: Judges,
        door: QueueDoor,
        views: JobViews,
        canceller: Canceller,
        redriver: Redriver,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        awaiter: Awaiter,
        repeats: Repeats,
    ) -> None:
        """``awaiter`` waits for the store; ``new_id`` makes canonical UUIDs; ``repeats`` knows requests that came before."""
        self._store = store
        self._judges = judges
        self._door = door
        self._views = views
        self._canceller = canceller
        self._redriver = redriver
        self._clock = clock
        self._new_id = new_id
        self._wait = awaiter.settled
        self._repeats = repeats

    async def submit(self, fields: JsonObject, caller: Caller) -> Submitted:
        """Validate, admit and enqueue; the job is committed when this returns. A repeated request gets the job of the first.

        Raises ``Refused`` or ``Busy``.
        """
        request = parse_submission(fields)
        principal = self._judges.principal(caller, request.client_id)
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
        priority = self._allowed(request, principal)
        self._judges.depth.check(principal)  # what has no chance is not worth its validation
        judged = await self._judges.judged(prompt_id, request.prompt, request.pool, request.targets)
        entry = Entry(
            prompt_id=prompt_id,
            prompt=judged.prompt,
            extra_data=_extra_data(request),
            outputs_to_execute=judged.outputs,
            priority=priority,
            principal=principal,
            source=Source.SUBMIT,
            front=request.front,
            number=request.number,
            metadata=request.metadata,
            request_key=key,
            not_before_s=request.not_before_s,
            expires_in_s=request.expires_in_s,
            max_attempts=request.max_attempts,
            webhook=request.webhook,
            pool=judged.pool,
        )
        return await self._door.enter(entry)

    async def _seen(self, job: Job) -> JobView:
        try:
            return await self._views.one(job)
        except StoreUnavailable:
            # The job is committed: that is the answer, with or without its place in the queue.
            return JobView(job=job)

    async def validate(self, fields: JsonObject, caller: Caller) -> Verdict:
        """A dry run of submit that changes nothing. Raises what submit would raise for the job itself, room apart."""
        request = parse_submission(fields)
        priority = self._allowed(request, self._judges.principal(caller, request.client_id))
        prompt_id = request.prompt_id or self._new_id()
        judged = await self._judges.judged(prompt_id, request.prompt, request.pool, request.targets)
        estimated_s = await self._wait(self._store.estimate(signature(judged.prompt)))
        return Verdict(priority=priority, nodes=len(judged.prompt), outputs=judged.outputs, estimated_s=estimated_s)

    async def get(self, job_id: str) -> JobView:
        """One job in full. Raises ``NotFound``, or ``Gone`` for one that was pruned; so do all verbs below."""
        return await self._views.one(await self._views.known(job_id))

    async def list(self, query: JobQuery) -> JobListing:
        """Jobs by filter, newest first. Raises ``InputInvalid`` for a cursor that is not ours."""
        page = await self._wait(self._store.page(query))
        return JobListing(jobs=await self._views.page(page.jobs), next_cursor=page.next_cursor)

    async def cancel(self, job_id: str) -> JobView:
        """Cancel a job; idempotent. A running one is interrupted, now or at its first sign of life."""
        return await self._changed(job_id, self._canceller.cancel(job_id))

    async def reprioritise(self, job_id: str, change: Reprioritise, caller: Principal) -> JobView:
        """Give a waiting job another place. Raises ``Conflict`` when it does not wait, or ``PriorityNotAllowed``."""
        owner = (await self._views.known(job_id)).principal
        self._judges.ceilings.check_move(caller, owner, Wish(change.priority or PRIORITY_MIN, front=change.front))
        return await self._changed(job_id, self._store.reprioritise(job_id, change), wakes=True)

    async def hold(self, job_id: str) -> JobView:
        """Keep a waiting job from being claimed; idempotent. Raises ``Conflict`` when it does not wait."""
        return await self._changed(job_id, self._store.hold(job_id, True))

    async def release(self, job_id: str) -> JobView:
        """Let a held job be claimed again, in its old place; idempotent. Raises ``Conflict`` when it does not wait."""
        return await self._changed(job_id, self._store.hold(job_id, False), wakes=True)

    async def retry(self, job_id: str) -> JobView:
        """Run a job again that failed, was cancelled or expired; an unfinished one is answered as it is. Raises ``Conflict``."""
        return await self._views.one(await self._redriver.redrive(await self._views.known(job_id)))

    def principal(self, caller: Caller, client_id: object) -> Principal:
        """Who asks."""
        return self._judges.principal(caller, client_id if isinstance(client_id, str) else None)

    async def _changed(self, job_id: str, asked: Future[Job], *, wakes: bool = False) -> JobView:
        if wakes:
            asked.add_done_callback(lambda _: self._door.wake())
        try:
            job = await self._wait(asked)
        except NotFound:
            raise await self._views.absent(job_id) from None
        return await self._views.one(job)

    def _allowed(self, request: SubmitRequest, principal: Principal) -> int:
        check_times(request, self._clock())
        check_webhook(request.webhook, self._judges.webhooks)
        check_served(request.pool, self._judges.roster.pools())
        return self._judges.priority(
            principal, Wish(request.priority, given=request.priority_given, front=request.front)
        )


def _extra_data(request: SubmitRequest) -> JsonObject:
    extra = dict(request.extra_data)
    if request.client_id is not None:
        extra["client_id"] = request.client_id
    return extra
