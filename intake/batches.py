"""The use cases of batches: submit, preview, look, results, cancel, retry.

Owns their order of steps, and that a batch enters whole or not at all: with every fault of every job named, or, if its client
asked for that, without the jobs that have faults. What a batch is made of stands in ``batch_request`` and ``sweep``, how its jobs
are made in ``batch_entries``, room in ``depth``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..jobs.errors import Conflict, StoreUnavailable
from ..jobs.model import Job, JobStatus, JsonObject, NewBatch, Principal, RequestKey
from ..store.batches import Batch
from .batch_entries import BatchEntries
from .batch_preview import BatchPreview, BatchPreviews
from .batch_request import BatchRequest, parse_batch
from .batch_views import About, BatchResults, BatchView, BatchViews, index_of
from .bulk import BulkService, Selection
from .idempotency import Repeats
from .judges import Caller, Judges
from .ports import QueueDoor
from .request_keys import request_key
from .sweep import Declared
from .views import BulkReport


@dataclass(frozen=True, slots=True)
class BatchSubmitted:
    """An accepted batch; ``job_ids`` by their place. ``repeated``: an earlier, equal request got it in."""

    view: BatchView
    job_ids: tuple[str, ...]
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class BatchRules:
    """What is asked about the body of a batch: the most jobs of one, and the inputs that a class declares."""

    most_jobs: int
    declared: Declared


class BatchService:
    """See the module's docstring. One object per server; used from one event loop."""

    def __init__(
        self,
        *,
        rules: BatchRules,
        judges: Judges,
        entries: BatchEntries,
        previews: BatchPreviews,
        door: QueueDoor,
        views: BatchViews,
        bulk: BulkService,
        repeats: Repeats,
        clock: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        """``new_id`` makes canonical UUIDs."""
        self._rules = rules
        self._judges = judges
        self._entries = entries
        self._previews = previews
        self._door = door
        self._views = views
        self._bulk = bulk
        self._repeats = repeats
        self._clock = clock
        self._new_id = new_id

    def parse(self, fields: JsonObject) -> BatchRequest:
        """The request in a body. Raises a ``Refused`` for what does not depend on the single jobs."""
        return parse_batch(fields, self._rules.most_jobs, self._rules.declared)

    async def submit(self, request: BatchRequest, fields: JsonObject, caller: Caller) -> BatchSubmitted:
        """Validate, admit and enqueue all jobs; they are committed when this returns. ``fields`` is the body as it was sent: a
        repeated request gets the batch of the first. Raises ``Refused`` or ``Busy``; then no job is in."""
        principal = self._judges.principal(caller, request.common.client_id)
        key = request_key(principal, caller.key, None, fields)
        if key is None:
            return await self._enter(request, principal, None)
        with await self._repeats.turn(principal, key) as turn:
            if turn.earlier is not None:
                return await self._again(turn.earlier)
            submitted = await self._enter(request, principal, key)
            turn.done(submitted.job_ids[0])
        return submitted

    async def preview(self, request: BatchRequest, caller: Caller) -> BatchPreview:
        """What ``submit`` would make of it; changes nothing. Raises ``Refused`` for what concerns the whole batch."""
        return await self._previews.of(request, self._judges.principal(caller, request.common.client_id))

    async def get(self, batch_id: str) -> BatchView:
        """One batch. Raises ``NotFound``, or ``Gone`` when its last job was pruned; so do all verbs below."""
        return await self._views.one(await self._views.known(batch_id))

    async def results(self, batch_id: str) -> BatchResults:
        """What became of each job so far."""
        return await self._views.results(batch_id)

    async def cancel(self, batch_id: str) -> tuple[BatchView, BulkReport]:
        """Cancel all its jobs that have not ended; idempotent."""
        await self._views.known(batch_id)
        report = await self._bulk.cancel(Selection(batch_id=batch_id))
        return await self.get(batch_id), report

    async def retry(self, batch_id: str) -> tuple[BatchView, BulkReport]:
        """Run its failed jobs again; those that wait or run already are left alone, so it is idempotent."""
        await self._views.known(batch_id)
        report = await self._bulk.retry(Selection(batch_id=batch_id, statuses=(JobStatus.FAILED,)))
        return await self.get(batch_id), report

    async def _enter(self, request: BatchRequest, principal: Principal, key: RequestKey | None) -> BatchSubmitted:
        # What has no chance is not worth its validation.
        self._judges.depth.check(principal, 1 if request.partial else request.count)
        batch_id = self._new_id()
        judged = await self._entries.made(request, principal, batch_id)
        if judged.refused and not (request.partial and judged.entries):
            raise judged.refusal(request.count)
        entries = [replace(judged.entries[0], request_key=key), *judged.entries[1:]]
        about = About(request.count, request.sweep, request.inputs, request.common.metadata, tuple(judged.refused))
        new = NewBatch(batch_id, principal.name, self._clock(), len(entries), about.kept())
        jobs = await self._door.enter_all(new, entries)
        return BatchSubmitted(await self._seen(new, about), tuple(job.id for job in jobs))

    async def _seen(self, new: NewBatch, about: About) -> BatchView:
        try:
            return await self.get(new.id)
        except StoreUnavailable:
            # The jobs are committed: that is the answer, with or without how they stand now.
            batch = Batch(new.id, new.principal, new.created_at_s, new.count, new.about, {JobStatus.QUEUED: new.count})
            return BatchView(batch, about)

    async def _again(self, earlier: Job) -> BatchSubmitted:
        if earlier.slot is None:
            message = f"This key stands for job {earlier.id}, which is in no batch."
            raise Conflict(message, details={"job_id": earlier.id})
        view = await self.get(earlier.slot.batch_id)
        jobs = [job async for job in self._views.jobs(view.batch.id)]
        return BatchSubmitted(view, tuple(job.id for job in sorted(jobs, key=index_of)), repeated=True)
