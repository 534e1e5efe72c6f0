"""Many jobs at once: cancel or run again whatever a filter picks, page by page.

Owns the walk, its bound and the report. Jobs that come or change while it walks may be missed; calling again is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

from ..jobs.awaiting import Awaiter
from ..jobs.errors import ExpeditorError, Gone, NotFound, StoreUnavailable
from ..jobs.model import Cause, Job, JobStatus
from ..jobs.transitions import TERMINAL, is_terminal
from ..store.base import JobStore
from ..store.records import JobQuery
from .cancelling import Canceller
from .job_views import JobViews
from .redriving import Redriver
from .views import BulkReport, RefusedJob

PAGE = 200
MOST_JOBS = 10_000
"""The most jobs that one call walks: a request must end before its client gives up."""
MOST_REFUSED = 100
"""The most refused jobs that a report names."""
UNFINISHED = tuple(status for status in JobStatus if status not in TERMINAL)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which jobs: all that fit every field that is given. ``ids``: of these only; ``batch_id`` goes without them."""

    statuses: tuple[JobStatus, ...] = ()
    principal: str | None = None
    causes: tuple[Cause, ...] = ()
    priority: int | None = None
    held: bool | None = None
    ids: tuple[str, ...] | None = None
    batch_id: str | None = None

    def picks(self, job: Job) -> bool:
        """Whether the job fits."""
        return (
            (not self.statuses or job.status in self.statuses)
            and self.principal in (None, job.principal.name)
            and (not self.causes or job.cause in self.causes)
            and self.priority in (None, job.priority)
            and self.held in (None, job.held)
        )


@dataclass(slots=True)
class _Count:
    matched: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    named: list[RefusedJob] = field(default_factory=lambda: [])

    def refuse(self, job_id: str, error: ExpeditorError) -> None:
        if isinstance(error, StoreUnavailable):
            raise error  # the rest would fail in the same way
        self.refused += 1
        if len(self.named) < MOST_REFUSED:
            self.named.append(RefusedJob(job_id, error.code, error.message))

    def report(self, *, more: bool) -> BulkReport:
        return BulkReport(self.matched, self.changed, self.unchanged, self.refused, tuple(self.named), more)


class BulkService:
    """See the module's docstring. Raises ``StoreUnavailable``; what was done until then stays done."""

    def __init__(
        self, *, store: JobStore, views: JobViews, canceller: Canceller, redriver: Redriver, awaiter: Awaiter
    ) -> None:
        """``views`` tells why a job named by id is not there."""
        self._store = store
        self._views = views
        self._canceller = canceller
        self._redriver = redriver
        self._wait = awaiter.settled

    async def retry(self, selection: Selection) -> BulkReport:
        """Run ended jobs again; failed ones (the dead letters) unless statuses or ids are given."""
        if not selection.statuses and selection.ids is None:
            selection = replace(selection, statuses=(JobStatus.FAILED,))
        return await self._walk(selection, self._retry, MOST_JOBS)

    async def cancel(self, selection: Selection, most: float = MOST_JOBS) -> BulkReport:
        """Cancel jobs, ``most`` of them or a few more; those that have not ended unless statuses or ids are given."""
        if not selection.statuses and selection.ids is None:
            selection = replace(selection, statuses=UNFINISHED)
        return await self._walk(selection, self._cancel, most)

    async def _walk(
        self, selection: Selection, act: Callable[[list[Job], _Count], Awaitable[None]], most: float
    ) -> BulkReport:
        count = _Count()
        async for jobs in self._pages(selection, count):
            count.matched += len(jobs)
            await act(jobs, count)
            if count.matched >= most:
                return count.report(more=True)
        return count.report(more=False)

    async def _retry(self, jobs: list[Job], count: _Count) -> None:
        # All at once: they share commits, where one after the other each would wait for its own.
        jobs = sorted(jobs, key=lambda job: job.seq)  # so that they run in their old order
        asked = await asyncio.gather(*(self._redriver.redrive(job) for job in jobs), return_exceptions=True)
        for job, again in zip(jobs, asked, strict=True):
            if isinstance(again, ExpeditorError):
                count.refuse(job.id, again)
            elif isinstance(again, BaseException):
                raise again
            else:
                count.changed += again is not job
                count.unchanged += again is job

    async def _cancel(self, jobs: list[Job], count: _Count) -> None:
        ended = {job.id for job in jobs if is_terminal(job.status)}
        for job, asked in [(job, self._canceller.cancel(job.id)) for job in jobs]:
            try:
                await self._wait(asked)
            except ExpeditorError as error:
                count.refuse(job.id, error)
                continue
            count.changed += job.id not in ended
            count.unchanged += job.id in ended

    async def _pages(self, selection: Selection, count: _Count) -> AsyncIterator[list[Job]]:
        if selection.ids is not None:
            yield [job for job in await self._named(selection.ids, count) if selection.picks(job)]
            return
        query = JobQuery(
            statuses=selection.statuses,
            principal=selection.principal,
            causes=selection.causes,
            held=selection.held,
            batch_id=selection.batch_id,
            limit=PAGE,
        )
        while True:
            page = await self._wait(self._store.page(query))
            yield [job for job in page.jobs if selection.picks(job)]
            if page.next_cursor is None:
                return
            query = replace(query, cursor=page.next_cursor)

    async def _named(self, ids: tuple[str, ...], count: _Count) -> list[Job]:
        jobs: list[Job] = []
        for job_id in dict.fromkeys(ids):
            try:
                jobs.append(await self._views.known(job_id))
            except (NotFound, Gone) as error:
                count.refuse(job_id, error)
        return jobs
