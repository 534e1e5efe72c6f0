"""Brings what this instance knows of parked jobs in step with the store when events of others may have been missed.

Owns finding out what differs; what follows is the listeners', as if its event had been heard. Does not look at jobs on this machine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Protocol

from ..jobs.errors import ExpeditorError
from ..jobs.events import JobEvent, Publisher
from ..jobs.model import Job, JobStatus

log = logging.getLogger("expeditor.events")


class Looked(Protocol):
    """The store, as far as is looked."""

    def get(self, job_id: str) -> Future[Job | None]:
        """One job."""
        ...


Listed = Callable[[Sequence[JobStatus], "str | None"], Future[tuple[Sequence[Job], "str | None"]]]
"""Jobs in one of these statuses, some hundreds: from a cursor on, and the cursor of those behind them."""


class ParkedLook:
    """See the module's docstring. On the event loop."""

    def __init__(
        self,
        store: Looked,
        listed: Listed,
        ears: Sequence[Publisher],
        known: Callable[[], Iterable[str]],
        runs_here: Callable[[str], bool],
        clock: Callable[[], float],
    ) -> None:
        """``known``: the jobs that are parked as far as is known here, by id; ``runs_here``: whether a job is on this machine."""
        self._store = store
        self._listed = listed
        self._ears = ears
        self._known = known
        self._runs_here = runs_here
        self._clock = clock

    async def look(self) -> None:
        """Look now. Never raises."""
        try:
            jobs = {job.id: job for job in await self._parked()}
            for job_id in sorted(set(self._known()) - set(jobs)):
                job = await asyncio.wrap_future(self._store.get(job_id))
                if job is not None:
                    jobs[job_id] = job
            self._tell(jobs.values())
        except ExpeditorError as error:
            log.warning("Parked jobs could not be compared: %s", error.message, extra={"event": "look.failed"})
        except Exception:  # noqa: BLE001 - a task's exception is seen by nobody
            log.exception("Parked jobs could not be compared", extra={"event": "look.failed"})

    async def _parked(self) -> list[Job]:
        found: list[Job] = []
        cursor: str | None = None
        while True:
            jobs, cursor = await asyncio.wrap_future(self._listed((JobStatus.WAITING,), cursor))
            found += jobs
            if cursor is None:
                return found

    def _tell(self, jobs: Iterable[Job]) -> None:
        events = tuple(JobEvent.of(job, self._clock()) for job in jobs if not self._runs_here(job.id))
        for ear in self._ears:
            ear.publish(events)
