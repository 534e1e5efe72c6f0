"""A batch as a client sees it: how its jobs stand, when the last of them may end, and what each of them made.

Owns the questions to the store that such a view needs, and what is kept about a batch besides its jobs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from ..jobs.awaiting import Awaiter
from ..jobs.errors import Fault, Gone, NotFound, Refused
from ..jobs.model import Job, JobStatus, JsonObject
from ..jobs.transitions import TERMINAL
from ..store.base import JobStore
from ..store.batches import Batch
from ..store.records import JobQuery
from .batch_entries import RefusedItem
from .job_views import JobViews
from .sweep import Sweep, read_sweep

PAGE = 200
MOST_FAILED = 100
"""The most failed jobs that a view names."""
MOST_PLACES = 100
"""How many of its waiting jobs are looked up for the eta, those that came last."""


@dataclass(frozen=True, slots=True)
class About:
    """What is kept of a batch besides its jobs: how many were ``asked`` for, the ``sweep`` as it was sent and its ``inputs``, the
    metadata of all jobs, and which were ``refused``."""

    asked: int
    sweep: Any = None
    inputs: tuple[str, ...] = ()
    metadata: JsonObject | None = None
    refused: tuple[RefusedItem, ...] = ()

    def kept(self) -> JsonObject:
        """As it is stored."""
        refused = [
            {"index": one.index, "code": one.fault.code, "message": one.fault.message, "pointer": one.fault.pointer}
            for one in self.refused
        ]
        sweep = {"sweep": self.sweep, "inputs": list(self.inputs)}
        return {"asked": self.asked, **sweep, "metadata": self.metadata or {}, "refused": refused}

    @classmethod
    def of(cls, batch: Batch) -> About:
        """What is kept of this batch."""
        about = batch.about
        refused = (
            RefusedItem(one["index"], Fault(one["pointer"], one["code"], one["message"])) for one in about["refused"]
        )
        return cls(about["asked"], about["sweep"], tuple(about["inputs"]), about["metadata"], tuple(refused))


@dataclass(frozen=True, slots=True)
class BatchView:
    """A batch with what only the moment knows. ``eta_s``: estimated seconds until its last job ends, None when nobody can say.

    ``failed``: the first failed jobs by their place in the batch.
    """

    batch: Batch
    about: About
    eta_s: float | None = None
    failed: tuple[Job, ...] = ()


@dataclass(frozen=True, slots=True)
class ItemResult:
    """One job of a batch with its swept values; ``job`` is None for one that was pruned."""

    index: int
    values: JsonObject
    job: Job | None


@dataclass(frozen=True, slots=True)
class BatchResults:
    """What became of each job, by its place."""

    batch: Batch
    about: About
    items: tuple[ItemResult, ...]


class BatchViews:
    """See the module's docstring. Nothing here blocks the event loop."""

    def __init__(self, store: JobStore, views: JobViews, awaiter: Awaiter) -> None:
        """``views`` knows the places of jobs; ``awaiter`` waits for the store."""
        self._store = store
        self._views = views
        self._wait = awaiter.settled

    async def known(self, batch_id: str) -> Batch:
        """One batch. Raises ``NotFound``, or ``Gone`` for one whose last job was pruned."""
        batch = await self._wait(self._store.batch(batch_id))
        if batch is None:
            raise await self._absent(batch_id)
        return batch

    async def one(self, batch: Batch) -> BatchView:
        """The batch in full."""
        about = About.of(batch)
        failed: tuple[Job, ...] = ()
        if batch.statuses.get(JobStatus.FAILED):
            query = JobQuery(batch_id=batch.id, statuses=(JobStatus.FAILED,), limit=MOST_FAILED)
            failed = tuple(sorted((await self._wait(self._store.page(query))).jobs, key=index_of))
        return BatchView(batch, about, await self._eta_s(batch), failed)

    async def results(self, batch_id: str) -> BatchResults:
        """Every job of a batch with its values. Raises as ``known``."""
        batch = await self.known(batch_id)
        about = About.of(batch)
        sweep = _sweep(about)
        jobs = {index_of(job): job async for job in self.jobs(batch_id)}
        refused = {one.index for one in about.refused}
        items: list[ItemResult] = []
        for index in range(about.asked):
            if index not in refused:
                values = {} if sweep is None else sweep.values(index)
                items.append(ItemResult(index, values, jobs.get(index)))
        return BatchResults(batch, about, tuple(items))

    async def jobs(self, batch_id: str) -> AsyncIterator[Job]:
        """Its jobs that are there, the last one first; the loop is free between pages."""
        query = JobQuery(batch_id=batch_id, limit=PAGE)
        while True:
            page = await self._wait(self._store.page(query))
            for job in page.jobs:
                yield job
            if page.next_cursor is None:
                return
            query = replace(query, cursor=page.next_cursor)
            await asyncio.sleep(0)

    async def _eta_s(self, batch: Batch) -> float | None:
        """By the jobs that came last: what waits longest is done before."""
        waiting = batch.statuses.get(JobStatus.QUEUED, 0)
        unfinished = tuple(status for status in batch.statuses if status not in TERMINAL)
        if not unfinished:
            return None
        wanted = (JobStatus.QUEUED,) if waiting else unfinished
        page = await self._wait(self._store.page(JobQuery(batch_id=batch.id, statuses=wanted, limit=MOST_PLACES)))
        known = [view.eta_s for view in await self._views.page(page.jobs) if view.eta_s is not None]
        return max(known, default=None)

    async def _absent(self, batch_id: str) -> Refused:
        details = {"batch_id": batch_id[:80]}
        if await self._wait(self._store.was_pruned(batch_id)):
            return Gone(f"The jobs of batch {batch_id[:80]} ended and were removed since.", details=details)
        return NotFound(f"There is no batch {batch_id[:80]}.", details=details)


def index_of(job: Job) -> int:
    """A job's place in its batch."""
    return -1 if job.slot is None else job.slot.index


def _sweep(about: About) -> Sweep | None:
    return None if about.sweep is None else read_sweep(about.sweep)
