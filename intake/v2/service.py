"""The contract's use cases for jobs: submit, get (held or not), list, workflow, cancel.

Owns their order of steps and what the contract means otherwise than our own routes do: keys that count once, polls that are held,
assets in the graph. The steps themselves are those of every door (``judges``, ``idempotency``, the queue's door).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from ...jobs.awaiting import Awaiter
from ...jobs.entry import Entry
from ...jobs.errors import Gone, InputInvalid, NotFound, Refused
from ...jobs.model import PRIORITY_DEFAULT, Job, JobStatus, JsonObject, Principal, RequestKey, Source
from ...jobs.transitions import is_terminal
from ...store.base import JobStore
from ..abroad import Judgement
from ..cancelling import Canceller
from ..ceilings import Wish
from ..idempotency import Repeats
from ..judges import Caller, Judges
from ..ports import QueueDoor, Runs
from ..request_keys import single_use_key
from ..views import JobPage, JobQuery, JobView
from .holding import HeldPolls
from .labels import check_label_pool
from .ports import AssetResolver
from .refusals import IDEMPOTENCY_KEY_REUSE, INVALID_CURSOR, ContractRefusal
from .request import V2Request, parse_request

_NO_JSON = ("NaN", "Infinity")


@dataclass(frozen=True, slots=True)
class ContractParts:
    """What the use cases are made of. ``clock`` is the store's; ``new_id`` makes canonical UUIDs.

    ``kept``: how many seconds after its end a job is kept, by status; None: for ever.
    """

    store: JobStore
    judges: Judges
    door: QueueDoor
    canceller: Canceller
    runs: Runs
    repeats: Repeats
    assets: AssetResolver
    awaiter: Awaiter
    clock: Callable[[], float]
    new_id: Callable[[], str]
    kept: Mapping[JobStatus, float | None]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A job that may enter, and the assets that it needs."""

    entry: Entry
    asset_ids: tuple[str, ...]


class ContractJobs:
    """See the module's docstring. One object per server; safe to use from one event loop."""

    def __init__(self, parts: ContractParts, held: HeldPolls) -> None:
        """``held`` waits for a job's status to change."""
        self._parts = parts
        self._held = held
        self._wait = parts.awaiter.settled

    @property
    def kept(self) -> Mapping[JobStatus, float | None]:
        """How many seconds after its end a job is kept, by status; None: for ever."""
        return self._parts.kept

    def now_s(self) -> float:
        """The store's time."""
        return self._parts.clock()

    async def submit(self, body: JsonObject, caller: Caller) -> JobView:
        """A new job, committed when this returns. Raises ``Refused`` or ``Busy``: then there is none, and its key is free again."""
        request = parse_request(body)
        principal = self._parts.judges.principal(caller, None)
        if caller.key is None:
            return self._view(await self._enter(await self._ready(request, principal, None)))
        key = single_use_key(principal, caller.key)
        try:
            turn, ready = await self._parts.repeats.turn_while(
                principal, key, partial(self._ready, request, principal, key)
            )
        except Gone as error:
            raise _reused(error.details.get("job_id")) from error
        with turn:
            if ready is None:
                raise _reused(turn.earlier and turn.earlier.id)
            job = await self._enter(ready)
            turn.done(job.id)
        return self._view(job)

    async def get(self, job_id: str) -> JobView:
        """The job as it is now. Raises ``NotFound``, also for one that was pruned; so do all below."""
        return await self._seen(job_id)

    async def held(self, job_id: str) -> JobView:
        """The job, as soon as its status changes or the settings' time is over."""
        return await self._held.until_changed(job_id, self._seen)

    async def page(self, query: JobQuery) -> JobPage:
        """Jobs by filter, newest first. Raises ``ContractRefusal`` (``invalid_cursor``) for a cursor that is not ours."""
        try:
            return await self._wait(self._parts.store.page(query))
        except InputInvalid as error:
            raise ContractRefusal(INVALID_CURSOR, error.message) from error

    async def workflow(self, job_id: str) -> str:
        """What the job runs, as JSON text: the graph after validation, in API format. ComfyUI's own routes take NaN and infinities,
        which are null here."""
        payload = await self._wait(self._parts.store.payload(_findable(job_id)))
        if payload is None:
            raise _absent(job_id)
        text = payload.prompt_json
        if not any(word in text for word in _NO_JSON):
            return text
        return json.dumps(json.loads(text, parse_constant=lambda _: None))

    async def cancel(self, job_id: str) -> JobView:
        """Cancel the job; idempotent. One that runs is interrupted, now or at its first sign of life."""
        try:
            return self._view(await self._wait(self._parts.canceller.cancel(_findable(job_id))))
        except NotFound:
            raise _absent(job_id) from None

    async def _ready(self, request: V2Request, principal: Principal, key: RequestKey | None) -> _Ready:
        """The judged job; nothing has changed yet."""
        parts, prompt_id = self._parts, self._parts.new_id()
        wish = Wish(request.priority or PRIORITY_DEFAULT, given=request.priority is not None)
        priority = parts.judges.priority(principal, wish)
        check_label_pool(request.pool, parts.judges.roster.pools())
        parts.judges.depth.check(principal)  # what has no chance is not worth its validation
        judged, asset_ids = await self._judged(prompt_id, request, principal)
        entry = Entry(
            prompt_id=prompt_id,
            prompt=judged.prompt,
            extra_data=request.extra_data,
            outputs_to_execute=judged.outputs,
            priority=priority,
            principal=principal,
            source=Source.V2,
            front=False,
            number=None,
            metadata=dict(request.labels),
            request_key=key,
            pool=judged.pool,
        )
        return _Ready(entry, asset_ids)

    async def _enter(self, ready: _Ready) -> Job:
        if ready.asset_ids:
            await self._parts.assets.hold(ready.entry.prompt_id, ready.asset_ids)
        return await self._parts.door.enter(ready.entry)

    async def _judged(
        self, prompt_id: str, request: V2Request, principal: Principal
    ) -> tuple[Judgement, tuple[str, ...]]:
        try:
            graph, asset_ids = request.workflow, ()
            if isinstance(graph, dict):
                graph, asset_ids = await self._parts.assets.resolve(cast("JsonObject", graph), principal)
            judged = await self._parts.judges.judged(prompt_id, graph, request.pool)
        except Refused as error:
            error.faults = tuple(replace(fault, pointer=_moved(fault.pointer)) for fault in error.faults)
            raise
        return judged, asset_ids

    async def _seen(self, job_id: str) -> JobView:
        job = await self._wait(self._parts.store.get(_findable(job_id)))
        if job is None:
            raise _absent(job_id)
        place = await self._wait(self._parts.store.place(job.id)) if job.status is JobStatus.QUEUED else None
        return self._standing(job, None if place is None else place.position)

    def _view(self, job: Job) -> JobView:
        """A job that was written this moment. Its place is told only if that is known at once: on an idle machine the next thing
        written is the claim of this very job, and its client need not wait for that."""
        asked = self._parts.store.place(job.id) if job.status is JobStatus.QUEUED else None
        known = asked is not None and asked.done() and asked.exception() is None
        place = asked.result() if asked is not None and known else None
        return self._standing(job, None if place is None else place.position)

    def _standing(self, job: Job, position: int | None) -> JobView:
        progress = None if is_terminal(job.status) else self._parts.runs.progress(job.id)
        return JobView(job=job, position=position, progress=progress)


def _findable(job_id: str) -> str:
    """A job's id as a client wrote it. Raises ``NotFound`` for what no store could look up."""
    try:
        job_id.encode("utf-8")
    except UnicodeEncodeError:
        raise _absent("of this id") from None
    return job_id


def _absent(job_id: str) -> NotFound:
    return NotFound(f"There is no job {job_id[:80]}, or no more.")


def _reused(job_id: object) -> ContractRefusal:
    text = f"This Idempotency-Key was used already, for job {job_id}."
    return ContractRefusal(IDEMPOTENCY_KEY_REUSE, text, details={"job_id": job_id})


def _moved(where: str) -> str:
    """The stages point into ``/prompt``; the contract's body has the graph at ``/workflow``."""
    return "/workflow" + where.removeprefix("/prompt") if where.startswith("/prompt") else where
