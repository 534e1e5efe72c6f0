"""The part of ``services`` that keeps assets: makes their records, files and use cases, and the loop that opens and keeps them in bounds.

Nothing waits for it: until the records can be opened, requests for assets are told to come back, and all else goes on.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from ..host.comfy import folder_of
from ..host.hashing import available
from ..host.input_files import InputFiles
from ..intake.asset_use import AssetUse
from ..intake.assets import AssetParts, AssetService
from ..intake.output_assets import OutputAssets
from ..intake.ports import OutputFiles
from ..intake.v2.asset_references import AssetReferences
from ..jobs.awaiting import Awaiter
from ..jobs.errors import StoreUnavailable
from ..store.assets import AssetStore
from ..store.base import Clock, JobStore
from ..store.sqlite.assets import SqliteAssets
from .settings import Settings

log = logging.getLogger("expeditor.runtime")

DATABASE_NAME = "assets.sqlite3"
REOPEN_S = 5.0
TICK_S = 60.0
TICKS_PER_SWEEP = 60


@dataclass(frozen=True, slots=True)
class Shelf:
    """All that is kept of assets."""

    store: AssetStore
    service: AssetService
    references: AssetReferences

    async def watch(self) -> None:
        """Until cancelled: open the records, as often as it takes, then keep them in bounds. A step that fails is done again."""
        await self._opened()
        ticks = 0
        await _safely(self.service.start)
        while True:
            await asyncio.sleep(TICK_S)
            ticks += 1
            await _safely(self.service.upkeep)
            if ticks % TICKS_PER_SWEEP == 0:
                await _safely(self.service.forget_jobs)

    async def _opened(self) -> None:
        told = ""
        while True:
            try:
                await asyncio.to_thread(self.store.open)
                return
            except StoreUnavailable as error:
                if error.message != told:
                    log.warning(
                        "Assets cannot be used, which is tried again: %s", error, extra={"event": "assets.away"}
                    )
                told = error.message
            await asyncio.sleep(REOPEN_S)


def build_shelf(
    settings: Settings, data_dir: Path, jobs: JobStore, awaiter: Awaiter, clock: Clock, made: OutputFiles
) -> Shelf:
    """Make and join it; ``made`` finds what jobs made. No I/O."""
    path = None if settings.store == "memory" else data_dir / DATABASE_NAME
    store = SqliteAssets(path=path, clock=clock, check_s=settings.store_check_s)
    files = InputFiles(folder_of, lambda: uuid.uuid4().hex, available())
    outputs = OutputAssets(store=store, jobs=jobs, outputs=made, files=files, awaiter=awaiter)
    use = AssetUse(store, jobs, awaiter, clock)
    parts = AssetParts(
        store=store,
        jobs=jobs,
        files=files,
        outputs=outputs,
        use=use,
        awaiter=awaiter,
        clock=clock,
        new_id=lambda: str(uuid.uuid4()),
        max_bytes=settings.asset_max_bytes,
        keep_s=settings.asset_keep_s or None,
    )
    references = AssetReferences(store=store, files=files, outputs=outputs, use=use, awaiter=awaiter)
    return Shelf(store, AssetService(parts), references)


async def _safely(step: Callable[[], Awaitable[None]]) -> None:
    try:
        await step()
    except StoreUnavailable:
        pass  # the records' state says so, and the next time comes
    except Exception:  # noqa: BLE001 - the loop must outlive every fault, or nothing would ever be deleted again
        log.exception("A step of the upkeep of assets failed", extra={"event": "assets.upkeep_failed"})
