"""What a batch would be, before anybody submits it: how many jobs, what is wrong with them, when they would start and end.

Changes nothing. The times are estimates by past runs: what comes later and is more urgent makes them longer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from ..jobs.awaiting import Awaiter
from ..jobs.errors import Busy, Fault, LimitExceeded
from ..jobs.estimate import signature
from ..jobs.model import JobStatus, Principal
from ..store.base import JobStore
from .batch_entries import BatchEntries
from .batch_request import BatchRequest
from .depth import QueueDepth
from .flow import Flow
from .pools import AlonePools
from .ports import Roster


@dataclass(frozen=True, slots=True)
class BatchPreview:
    """What a batch would be. ``count`` jobs are asked for, ``faulty`` of them would be refused, and why.

    ``work_s``: how long its good jobs run on one machine; ``starts_in_s``, ``ends_in_s``: when the machines that there are get to it and
    are through with it. All estimated; the latter two are None while the queue stands still. ``no_room``: why it would not be taken now.
    """

    count: int
    faulty: int
    faults: tuple[Fault, ...]
    inputs: tuple[str, ...]
    work_s: float
    starts_in_s: float | None
    ends_in_s: float | None
    no_room: str | None


class BatchPreviews:
    """See the module's docstring."""

    def __init__(
        self,
        *,
        store: JobStore,
        entries: BatchEntries,
        depth: QueueDepth,
        flow: Flow,
        new_id: Callable[[], str],
        awaiter: Awaiter,
        roster: Roster | None = None,
    ) -> None:
        """``flow`` says whether anything is started now; ``awaiter`` waits for the store; ``roster`` knows how many machines there are."""
        self._roster: Roster = roster or AlonePools()
        self._store = store
        self._entries = entries
        self._depth = depth
        self._flow = flow
        self._new_id = new_id
        self._wait = awaiter.settled

    async def of(self, request: BatchRequest, principal: Principal) -> BatchPreview:
        """What the batch of this request would be. Raises ``Refused`` for what concerns the whole batch."""
        priority = self._entries.priority(request.common, principal)
        judged = await self._entries.made(request, principal, self._new_id())
        signatures = Counter(signature(entry.prompt) for entry in judged.entries)
        each_s = await asyncio.gather(*(self._wait(self._store.estimate(name)) for name in signatures))
        work_s = sum(run_s * count for run_s, count in zip(each_s, signatures.values(), strict=True))
        starts_in_s = await self._starts_in_s(priority)
        return BatchPreview(
            count=request.count,
            faulty=len(judged.refused),
            faults=tuple(judged.faults),
            inputs=request.inputs,
            work_s=work_s,
            starts_in_s=starts_in_s,
            ends_in_s=None if starts_in_s is None else starts_in_s + work_s / self._roster.machines(),
            no_room=self._no_room(principal, len(judged.entries)),
        )

    async def _starts_in_s(self, priority: int) -> float | None:
        """Until all that runs is done, and all that waits with this priority or a more urgent one."""
        summary = await self._wait(self._store.summary())
        if self._flow.paused or (self._flow.draining and not self._roster.shared):
            return None
        rows = (row for row in summary.rows if row.status is not JobStatus.QUEUED or row.priority >= priority)
        return sum(row.work_s for row in rows) / self._roster.machines()

    def _no_room(self, principal: Principal, jobs: int) -> str | None:
        try:
            self._depth.check(principal, max(jobs, 1))
        except (Busy, LimitExceeded) as refused:
            return refused.message
        return None
