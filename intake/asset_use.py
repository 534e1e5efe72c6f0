"""Whether an asset is needed: by a job that is unfinished, as the queue itself says. So no end of a job has to be told here, a crash
forgets none, and a job that is put back needs its assets again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ..jobs.awaiting import Awaiter
from ..jobs.transitions import is_terminal
from ..store.assets import AssetStore, Hold
from ..store.base import Clock, JobStore

HOLD_GRACE_S = 60.0
"""How long a hold counts whose job is not there: it is taken before the job enters the queue."""
_STEP = 200


class AssetUse:
    """See the module's docstring."""

    def __init__(self, store: AssetStore, jobs: JobStore, awaiter: Awaiter, clock: Clock) -> None:
        """``clock`` is the stores'."""
        self._store = store
        self._jobs = jobs
        self._wait = awaiter.settled
        self._clock = clock
        self._deleting = asyncio.Lock()

    async def hold(self, job_id: str, asset_ids: Sequence[str]) -> None:
        """The job needs these until it has ended; asked before it enters. Look then whether they are still there."""
        async with self._deleting:
            # Asked for in here, awaited out there: the store does things in the order in which it is asked.
            held = self._store.hold(job_id, asset_ids, self._clock())
        await self._wait(held)

    async def unless_needed(self, asset_id: str, delete: Callable[[], Awaitable[object]]) -> bool:
        """Delete an asset, unless somebody needs it; nobody comes to need it meanwhile. Whether it was done."""
        async with self._deleting:
            needed = await self.needed(asset_id)
            if not needed:
                await delete()
        return not needed

    async def needed(self, asset_id: str) -> bool:
        """Whether an unfinished job needs it. What is found to be over is forgotten."""
        while holds := await self._wait(self._store.holds(asset_id, _STEP)):
            needed = await asyncio.gather(*(self._is_needed(hold) for hold in holds))
            if any(needed):
                return True
            await self._wait(self._store.release(asset_id, [hold.job_id for hold in holds]))
        return False

    async def _is_needed(self, hold: Hold) -> bool:
        job = await self._wait(self._jobs.get(hold.job_id))
        if job is None:
            return self._clock() - hold.held_at_s < HOLD_GRACE_S
        return not is_terminal(job.status)
