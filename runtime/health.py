"""The facts of ``/expeditor/health`` and ``/expeditor/ready``, gathered without I/O."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..host.board import HookBoard
from ..jobs.errors import ExpeditorError
from ..store.base import JobStore, StoreState

VERSION = "0.1.0"
LAG_INTERVAL_S = 1.0
PROBE_INTERVAL_S = 2.0
DISK_AGAIN_S = 1.0
DISK_INTERVAL_S = 15.0
SLOW_LOOP_S = 5.0


class LoopLag:
    """How late the event loop is: the largest delay of a timer in the last few seconds."""

    def __init__(self, interval_s: float = LAG_INTERVAL_S) -> None:
        """Zero until the first measurement, which takes ``interval_s``."""
        self._interval_s = interval_s
        self._recent: list[float] = []

    async def watch(self) -> None:
        """Measure until cancelled."""
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(self._interval_s)
            self._recent = [*self._recent[-9:], max(time.monotonic() - before_s - self._interval_s, 0.0)]

    @property
    def seconds(self) -> float:
        """The largest lag of the last ten measurements."""
        return max(self._recent, default=0.0)


class DiskWatch:
    """How much room is left on the disk that the queue is kept on, looked at off the event loop."""

    def __init__(self, folder: Path, interval_s: float = DISK_INTERVAL_S, again_s: float = DISK_AGAIN_S) -> None:
        """``free_bytes`` is None until the first look, and while the folder cannot be looked at: then every ``again_s``."""
        self._again_s = again_s
        self._folder = folder
        self._interval_s = interval_s
        self.free_bytes: int | None = None

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                self.free_bytes = (await asyncio.to_thread(shutil.disk_usage, self._folder)).free
            except OSError:
                self.free_bytes = None
            # At a first start the store has not made the folder yet.
            wait_s = self._interval_s if self.free_bytes is not None else min(self._interval_s, self._again_s)
            await asyncio.sleep(wait_s)


class StoreWatch:
    """Asks a store that failed whether it can be written again: on an idle server nobody else would ask."""

    def __init__(self, store: JobStore, interval_s: float = PROBE_INTERVAL_S) -> None:
        """One question every ``interval_s`` while the last write failed; none while all is well."""
        self._store = store
        self._interval_s = interval_s

    async def watch(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            state = self._store.state()
            if state.open and state.error is not None:
                # What it comes to is told by the store's state; a failure is what is expected here.
                with suppress(ExpeditorError):
                    await asyncio.wrap_future(self._store.probe())


@dataclass(frozen=True, slots=True)
class Beside:
    """How the records of assets and the outbox of webhooks are, which the queue works without. ``results``: why files cannot go home to
    other instances now, or None. ``members``: what is wrong among the instances, or None. ``parking``: of prompts that wait for people."""

    assets: Callable[[], StoreState]
    webhooks: Callable[[], StoreState]
    results: Callable[[], str | None] = lambda: None
    members: Callable[[], str | None] = lambda: None
    parking: Callable[[], Mapping[str, Any]] = lambda: {"state": "off", "kept_prompts": 0, "kept_bytes": 0}


class Health:
    """What the server knows of itself."""

    def __init__(
        self,
        *,
        board: HookBoard,
        store: JobStore,
        lag: LoopLag,
        comfyui_version: str,
        worker_alive: Callable[[], bool | None],
        too_full: Callable[[], str | None],
        beside: Beside,
        stuck: Callable[[], str | None] = lambda: None,
        disk: DiskWatch | None = None,
        instance: str = "",
    ) -> None:
        """``worker_alive`` gives None until ComfyUI's worker thread has asked for work the first time.

        ``too_full`` says why the queue should get no more jobs, or None; ``stuck`` which run cannot be stopped, or None.
        ``disk``: of the store, None where there is none; ``instance``: this one's name.
        """
        self._board = board
        self._store = store
        self.lag = lag
        self._comfyui_version = comfyui_version
        self._worker_alive = worker_alive
        self._too_full = too_full
        self._beside = beside
        self._stuck = stuck
        self.disk = disk
        self._instance = instance
        self._started_s = time.monotonic()

    def facts(self) -> dict[str, Any]:
        """For ``/expeditor/health``."""
        state = self._store.state()
        sides = {"assets": self._beside.assets(), "webhooks": self._beside.webhooks()}
        # These leave the server ready: the queue works.
        fault = self._fault() or state.notice or _fault_beside(sides) or self._fault_among_instances()
        return {
            "status": "ok" if fault is None else "degraded",
            "fault": fault,
            "instance": self._instance,
            "version": VERSION,
            "comfyui_version": self._comfyui_version,
            "pid": os.getpid(),
            "uptime_s": round(time.monotonic() - self._started_s, 3),
            "worker_alive": self._worker_alive(),
            "loop_lag_s": round(self.lag.seconds, 4),
            "hooks": self._board.states(),
            "store": {
                "kind": state.kind,
                "open": state.open,
                "error": state.error,
                "notice": state.notice,
                "pending_writes": state.pending_writes,
                "free_bytes": self.disk.free_bytes if self.disk else None,
            },
            "parking": dict(self._beside.parking()),
            **{name: {"open": side.open, "error": side.error, "notice": side.notice} for name, side in sides.items()},
        }

    def not_ready(self) -> str | None:
        """Why this server should get no work now, or None. A queue that is nearly full is such a reason, and no fault."""
        return self._fault() or self._too_full()

    def _fault_among_instances(self) -> str | None:
        told = (("results", self._beside.results()), ("instances", self._beside.members()))
        return next((f"{name}: {what}" for name, what in told if what is not None), None)

    def _fault(self) -> str | None:
        state = self._store.state()
        if not self._board.is_on("queue"):
            return f"queue: {self._board.states().get('queue', 'not installed')}"
        if not state.open or state.error is not None:
            return f"store: {state.error or 'not open'}"
        if self._worker_alive() is False:
            return "ComfyUI's worker thread has died; restart the server"
        stuck = self._stuck()
        if stuck is not None:
            return stuck
        if self.lag.seconds > SLOW_LOOP_S:
            return f"the event loop is {self.lag.seconds:.1f} s late"
        return None


def _fault_beside(sides: Mapping[str, StoreState]) -> str | None:
    told = ((name, side.error or side.notice) for name, side in sides.items())
    return next((f"{name}: {what}" for name, what in told if what is not None), None)
