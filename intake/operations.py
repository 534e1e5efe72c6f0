"""The whole queue in an operator's hands: look, pause, resume, drain, clear.

Owns what each of these does to the store, to the flow and to ComfyUI's side. Pausing is kept by the store and survives a
restart; draining is this process's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, TypeVar

from ..jobs.awaiting import Awaiter
from ..jobs.model import JobStatus
from ..store.base import JobStore
from ..store.records import QueueSummary
from .bulk import BulkService, Selection
from .depth import QueueDepth
from .flow import Flow
from .pools import AlonePools
from .ports import QueueDoor, Roster, Runs
from .views import BulkReport, DepthView, QueueView

_K = TypeVar("_K", int, str)


class QueueOperations:
    """See the module's docstring. All are idempotent, raise ``StoreUnavailable`` and never block the event loop."""

    def __init__(
        self,
        *,
        store: JobStore,
        door: QueueDoor,
        flow: Flow,
        depth: QueueDepth,
        runs: Runs,
        bulk: BulkService,
        clock: Callable[[], float],
        awaiter: Awaiter,
        roster: Roster | None = None,
    ) -> None:
        """``clock`` is the store's; ``roster`` knows how many machines share the work."""
        self._roster: Roster = roster or AlonePools()
        self._store = store
        self._door = door
        self._flow = flow
        self._depth = depth
        self._runs = runs
        self._bulk = bulk
        self._clock = clock
        self._wait = awaiter.settled

    async def look(self) -> QueueView:
        """Depth by priority and principal, the work in it, and whether it moves."""
        summary = await self._wait(self._store.summary())
        view = _view(summary, self._clock(), self._runs.worked_off_s(), self._depth.drain_rate())
        still = summary.paused or (self._flow.draining and not self._roster.shared)  # of several the others go on
        ends_in_s = None if still or view.work_s is None else view.work_s / self._roster.machines()
        return replace(view, draining=self._flow.draining, work_s=ends_in_s)

    async def pause(self) -> QueueView:
        """Accept, claim nothing; what runs goes on."""
        await self._set_paused(True)
        return await self.look()

    async def resume(self) -> QueueView:
        """Neither paused nor draining; the worker looks at once."""
        await self._set_paused(False)
        self._flow.resume()
        self._door.wake()
        return await self.look()

    async def drain(self) -> QueueView:
        """Refuse what is new and claim nothing, until a restart or ``resume``; what runs goes on."""
        self._flow.drain()
        return await self.look()

    async def clear(self, selection: Selection) -> BulkReport:
        """Cancel the jobs that wait, held and parked ones too; what runs goes on."""
        waiting = replace(selection, statuses=(JobStatus.QUEUED, JobStatus.RETRYING, JobStatus.WAITING))
        return await self._bulk.cancel(waiting, most=math.inf)

    async def _set_paused(self, paused: bool) -> None:
        asked = self._store.pause(paused)
        asked.add_done_callback(lambda done: self._paused(done, paused))
        await self._wait(asked)

    def _paused(self, asked: Future[None], paused: bool) -> None:
        # At the commit, on the store's thread: also when the client's wait for it ran out.
        if asked.exception() is None:
            self._flow.restore(paused)
            self._door.wake()


def _view(summary: QueueSummary, now_s: float, worked_off_s: float, drain_rate: float) -> QueueView:
    waiting = [row for row in summary.rows if row.status is JobStatus.QUEUED]
    parked = [row for row in summary.rows if row.status is JobStatus.WAITING]
    running = [row for row in summary.rows if row.status not in (JobStatus.QUEUED, JobStatus.WAITING)]
    work_s = sum(row.work_s for row in (*waiting, *running)) - worked_off_s
    oldest = summary.oldest_queued_at_s
    return QueueView(
        waiting=sum(row.jobs for row in waiting),
        running=sum(row.jobs for row in running),
        work_s=max(work_s, 0.0),
        by_priority=_grouped((row.priority, row.jobs, row.work_s) for row in waiting),
        by_principal=_grouped((row.principal, row.jobs, row.work_s) for row in waiting),
        oldest_wait_s=None if oldest is None else max(now_s - oldest, 0.0),
        drain_rate_jobs_per_s=drain_rate,
        paused=summary.paused,
        parked=sum(row.jobs for row in parked),
        held=summary.held,
        delayed=summary.delayed,
    )


def _grouped(rows: Iterable[tuple[_K, int, float]]) -> dict[_K, DepthView]:
    groups: dict[_K, DepthView] = {}
    for key, jobs, work_s in rows:
        before: Any = groups.get(key, DepthView(0, 0.0))
        groups[key] = DepthView(before.jobs + jobs, before.work_s + work_s)
    return dict(sorted(groups.items()))
