"""Brings ComfyUI's lists of an instance among several in step with the store when events may have been missed.

Owns finding out what differs: of the jobs that are shown here, and of all that run or wait. What follows from a
difference is ``listing``'s, as if its event had been heard. Does not look at jobs that run on this machine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..jobs.belonging import is_home, runs_elsewhere
from ..jobs.errors import ExpeditorError
from ..jobs.events import JobEvent, Publisher
from ..jobs.model import Job, JobStatus
from .native import item_id

if TYPE_CHECKING:
    from .queue import ExpeditorQueue

log = logging.getLogger("expeditor.host")

AT_ONCE = 200
ON_MACHINE = (JobStatus.RUNNING, JobStatus.CANCELING)
PARKED = (JobStatus.WAITING,)
WAITING = (JobStatus.QUEUED, JobStatus.RETRYING)


class Looked(Protocol):
    """The store, as far as is looked."""

    def get(self, job_id: str) -> Future[Job | None]:
        """One job."""
        ...


Listed = Callable[[Sequence[JobStatus], "str | None"], Future[tuple[Sequence[Job], "str | None"]]]
"""Jobs in one of these statuses, the newest first, some hundreds: from a cursor on, and the cursor of those behind them."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is shown at one moment: ids that wait, that run elsewhere, and that are on this machine or on their way to the list."""

    waiting: AbstractSet[str]
    away: AbstractSet[str]
    here: AbstractSet[str]


class PictureLook:
    """See the module's docstring. On the event loop."""

    def __init__(  # noqa: PLR0913, PLR0917 - one for each part
        self,
        queue: Callable[[], ExpeditorQueue | None],
        store: Looked,
        listed: Listed,
        listing: Publisher,
        clock: Callable[[], float],
        here: str,
    ) -> None:
        """``queue`` is ComfyUI's while it is ours; ``here`` is this instance's name."""
        self._queue = queue
        self._store = store
        self._listed = listed
        self._listing = listing
        self._clock = clock
        self._here = here
        self._looking = False
        self._again = False

    async def look(self) -> None:
        """Look now; once more if somebody asks meanwhile. Never raises."""
        self._again = True
        if self._looking:
            return
        self._looking = True
        try:
            while self._again:
                self._again = False
                await self._look()
        except ExpeditorError as error:
            log.warning("The lists could not be compared: %s", error.message, extra={"event": "look.failed"})
        except Exception:  # noqa: BLE001 - a task's exception is seen by nobody
            log.exception("The lists could not be compared", extra={"event": "look.failed"})
        finally:
            self._looking = False

    async def _look(self) -> None:
        queue = self._queue()
        if queue is None or queue.expeditor.stood_down or not queue.expeditor.restored:
            return
        shown, known = _shown(queue), set[str]()
        for statuses in (ON_MACHINE, PARKED, WAITING):
            async for jobs in self._pages(statuses):
                self._tell(queue, [(job.id, job) for job in jobs], shown)
                known.update(job.id for job in jobs)
        for ids in _parts([job_id for job_id in (*shown.waiting, *shown.away) if job_id not in known]):
            found = await asyncio.gather(*(asyncio.wrap_future(self._store.get(job_id)) for job_id in ids))
            self._tell(queue, list(zip(ids, found, strict=True)), shown)

    async def _pages(self, statuses: Sequence[JobStatus]) -> AsyncIterator[list[Job]]:
        """All of this instance's jobs in one of these statuses, page by page."""
        cursor: str | None = None
        while True:
            jobs, cursor = await asyncio.wrap_future(self._listed(statuses, cursor))
            yield [job for job in jobs if is_home(job, self._here)]
            if cursor is None:
                return

    def _tell(self, queue: ExpeditorQueue, jobs: Sequence[tuple[str, Job | None]], shown: _Shown) -> None:
        """Have told what differs from ``shown``, and still does now."""
        other = [(job_id, job) for job_id, job in jobs if job is None or not self._as_shown(job, shown)]
        now = _shown(queue) if other else shown
        for job_id, job in other:
            if job is None:
                queue.expeditor.elsewhere.pop(job_id, None)
                queue.remove({job_id})
            elif not self._as_shown(job, now):
                self._listing.publish((JobEvent.of(job, self._clock()),))

    def _as_shown(self, job: Job, shown: _Shown) -> bool:
        if job.id in shown.here:
            return True
        if job.status in (*WAITING, *PARKED):
            return job.id in shown.waiting
        if job.status in ON_MACHINE:
            return job.id in shown.away or not runs_elsewhere(job, self._here)
        return job.id not in shown.waiting and job.id not in shown.away


def _shown(queue: ExpeditorQueue) -> _Shown:
    with queue.mutex:
        waiting = {item_id(item) for item in queue.queue}
        here = {item_id(item) for item in queue.currently_running.values()} | queue.expeditor.arriving
        return _Shown(waiting, set(queue.expeditor.elsewhere), here)


def _parts(ids: list[str]) -> Iterable[list[str]]:
    return (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))
