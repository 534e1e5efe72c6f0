"""Brings ComfyUI's lists of an instance among several in step with the store when events may have been missed.

Owns finding out what differs: of the jobs that are shown here, of those that run, and of the newest that wait. What follows from a
difference is ``listing``'s, as if its event had been heard. Does not look at jobs that run on this machine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from ..jobs.belonging import is_home, runs_elsewhere
from ..jobs.errors import ExpeditorError
from ..jobs.events import JobEvent, Publisher
from ..jobs.model import Job, JobStatus
from .native import item_id
from .ownership import our_queue

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


Recent = Callable[[Sequence[JobStatus]], Future[Sequence[Job]]]
"""The newest jobs in one of these statuses, some hundreds."""


class PictureLook:
    """See the module's docstring. On the event loop."""

    def __init__(
        self, server: Any, store: Looked, recent: Recent, listing: Publisher, clock: Callable[[], float], here: str
    ) -> None:
        """``server`` is ComfyUI's ``PromptServer``; ``here`` is this instance's name."""
        self._server = server
        self._store = store
        self._recent = recent
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
        queue = our_queue(self._server)
        if queue is None or queue.expeditor.stood_down or not queue.expeditor.restored:
            return
        for ids in _parts(self._shown()):
            found = await asyncio.gather(*(asyncio.wrap_future(self._store.get(job_id)) for job_id in ids))
            self._tell(zip(ids, found, strict=True))
        for statuses in (ON_MACHINE, WAITING, PARKED):
            jobs = await asyncio.wrap_future(self._recent(statuses))
            self._tell((job.id, job) for job in jobs if is_home(job, self._here))

    def _shown(self) -> list[str]:
        queue = our_queue(self._server)
        if queue is None:
            return []
        with queue.mutex:
            return [*(item_id(item) for item in queue.queue), *queue.expeditor.elsewhere]

    def _tell(self, jobs: Iterable[tuple[str, Job | None]]) -> None:
        queue = our_queue(self._server)
        if queue is None:
            return
        with queue.mutex:
            waiting = {item_id(item) for item in queue.queue}
            away = set(queue.expeditor.elsewhere)
            here = {item_id(item) for item in queue.currently_running.values()} | queue.expeditor.arriving
        for job_id, job in jobs:
            if job is None:
                queue.expeditor.elsewhere.pop(job_id, None)
                queue.remove({job_id})
            elif job_id not in here and not self._as_shown(job, waiting, away):
                self._listing.publish((JobEvent.of(job, self._clock()),))

    def _as_shown(self, job: Job, waiting: set[str], away: set[str]) -> bool:
        if job.status in (*WAITING, *PARKED):
            return job.id in waiting
        if job.status in ON_MACHINE:
            return job.id in away or not runs_elsewhere(job, self._here)
        return job.id not in waiting and job.id not in away


def _parts(ids: list[str]) -> Iterable[list[str]]:
    return (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))
