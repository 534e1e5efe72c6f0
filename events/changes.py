"""Waiting for a job to change: what held requests wait on (``?wait_s=``, held polls) instead of asking again and again.

Owns who waits for which job in this process. Keeps nothing: who comes after the event must look at the job first.
"""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType

from ..jobs.events import JobEvent
from ..jobs.model import Job


class Watch:
    """One waiter for one job; a context manager. Enter it, look at the job, then wait: no change in between is missed."""

    def __init__(self, changes: JobChanges, job_id: str) -> None:
        """Made by ``JobChanges.watch``."""
        self._changes = changes
        self.job_id = job_id
        self._loop = asyncio.get_running_loop()
        self._happened = asyncio.Event()
        self.job: Job | None = None
        """The job as the last event left it, once there was one."""

    def __enter__(self) -> Watch:
        """Listen from now on."""
        self._changes.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more."""
        self._changes.remove(self)

    async def changed(self, timeout_s: float) -> bool:
        """Whether an event of the job was committed since the last ``changed`` (or the entry), within ``timeout_s``."""
        try:
            await asyncio.wait_for(self._happened.wait(), timeout_s)
        except asyncio.TimeoutError:
            return False
        self._happened.clear()
        return True

    def wake(self, job: Job | None = None) -> None:
        """An event of the job was committed, which left it so (None: who knows). Any thread."""
        self.job = job
        try:
            self._loop.call_soon_threadsafe(self._happened.set)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more


class JobChanges:
    """A ``jobs.events.Publisher`` that wakes those who wait for a job. Costs one look into a dictionary per event."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._lock = threading.Lock()
        self._watches: dict[str, set[Watch]] = {}

    def watch(self, job_id: str) -> Watch:
        """A waiter for one job, on the running event loop."""
        return Watch(self, job_id)

    def add(self, watch: Watch) -> None:
        """Wake ``watch`` from now on."""
        with self._lock:
            self._watches.setdefault(watch.job_id, set()).add(watch)

    def remove(self, watch: Watch) -> None:
        """Wake it no more."""
        with self._lock:
            waiting = self._watches.get(watch.job_id, set())
            waiting.discard(watch)
            if not waiting:
                self._watches.pop(watch.job_id, None)

    def missed(self) -> None:
        """Something may have happened to any job: whoever waits looks at its own."""
        with self._lock:
            waiting = [watch for watches in self._watches.values() for watch in watches]
        for watch in waiting:
            watch.wake()

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """See ``Publisher``."""
        with self._lock:
            woken = {watch: event.job for event in events for watch in self._watches.get(event.job.id, ())}
        for watch, job in woken.items():
            watch.wake(job)
