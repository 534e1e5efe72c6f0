"""Whether an asset is needed: by a job that is unfinished, as the queue itself says. So no end of a job has to be told here, a crash
forgets none, and a job that is put back needs its assets again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

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

    async def hold(self, job_id: str, asset_ids: Sequence[str]) -> None:
        """The job needs these until it has ended; asked before it enters."""
        await self._wait(self._store.hold(job_id, asset_ids, self._clock()))

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
