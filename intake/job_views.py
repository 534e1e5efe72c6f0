"""A job as a client sees it: the stored record with its place in the line, what is left to do and why it waits.

Owns the questions to the store that such a view needs. One job is told in full; a page asks for all places at once and leaves
out who stands before whom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ..jobs.awaiting import Awaiter
from ..jobs.errors import Gone, NotFound, Refused
from ..jobs.model import Job, JobStatus
from ..jobs.models_named import classes_of
from ..jobs.transitions import is_terminal
from ..store.base import JobStore
from ..store.records import Place
from .flow import Flow
from .pools import AlonePools
from .ports import Roster, Runs
from .views import JobView
from .waiting import Standing, delayed, explain


class JobViews:
    """See the module's docstring. Nothing here blocks the event loop."""

    def __init__(
        self,
        *,
        store: JobStore,
        runs: Runs,
        flow: Flow,
        clock: Callable[[], float],
        awaiter: Awaiter,
        roster: Roster | None = None,
    ) -> None:
        """``clock`` is the store's; ``roster`` knows who else may run a job."""
        self._roster: Roster = roster or AlonePools()
        self._store = store
        self._runs = runs
        self._flow = flow
        self._clock = clock
        self._wait = awaiter.settled

    async def known(self, job_id: str) -> Job:
        """One job. Raises ``NotFound``, or ``Gone`` for one that was pruned."""
        job = await self._wait(self._store.get(job_id))
        if job is None:
            raise await self.absent(job_id)
        return job

    async def absent(self, job_id: str) -> Refused:
        """Why there is no such job."""
        details = {"job_id": job_id[:80]}
        if await self._wait(self._store.was_pruned(job_id)):
            return Gone(
                f"Job {job_id[:80]} was removed since it ended, or was moved to another queue.", details=details
            )
        return NotFound(f"There is no job {job_id[:80]}.", details=details)

    async def one(self, job: Job) -> JobView:
        """The job in full."""
        if job.status is not JobStatus.QUEUED:
            return self._standing_still(job)
        basis_asked = self._store.basis(job.signature)  # together with who is ahead: one trip to the store's thread
        ahead = await self._wait(self._store.ahead(job.id))
        if ahead is None and not self._aside(job):
            # It waited when it was read and was claimed before its place was: an idle machine does that with every job.
            job = await self._wait(self._store.get(job.id)) or job
            if job.status is not JobStatus.QUEUED:
                return self._standing_still(job)
        basis = await self._wait(basis_asked)
        place = None if ahead is None else Place(sum(ahead.waiting.values()) + 1, ahead.work_s)
        standing = self._standing(job, place)
        nobody = await self._nobody(job) if self._roster.shared else None
        standing = replace(standing, ahead=ahead, basis=basis, nobody=nobody, eta_s=None if nobody else standing.eta_s)
        return JobView(
            job,
            standing.position,
            standing.eta_s,
            waiting=explain(job, standing),
            parked_s=job.parked_s(standing.now_s),
        )

    async def _nobody(self, job: Job) -> str | None:
        return self._roster.why_nobody(job.pool, await self._needs(job), _only(job))

    async def _needs(self, job: Job) -> tuple[frozenset[str], frozenset[str]] | None:
        payload = await self._wait(self._store.payload(job.id))
        return None if payload is None else (classes_of(payload.prompt_json), frozenset(job.models))

    async def page(self, jobs: Iterable[Job]) -> tuple[JobView, ...]:
        """Many jobs with one look at the line."""
        jobs = tuple(jobs)
        waiting = [job.id for job in jobs if job.status is JobStatus.QUEUED and not self._aside(job)]
        places: Mapping[str, Place] = await self._wait(self._store.places(waiting)) if waiting else {}
        return tuple([await self._of_page(job, places.get(job.id)) for job in jobs])

    async def _of_page(self, job: Job, place: Place | None) -> JobView:
        if job.status is JobStatus.QUEUED and place is None and not self._aside(job):
            job = await self._wait(self._store.get(job.id)) or job
        if job.status is not JobStatus.QUEUED:
            return self._standing_still(job)
        standing = self._standing(job, place)
        parked_s = job.parked_s(standing.now_s)
        return JobView(job, standing.position, standing.eta_s, waiting=explain(job, standing), parked_s=parked_s)

    def _standing_still(self, job: Job) -> JobView:
        """A job that does not wait for its turn."""
        parked_s = job.parked_s(self._clock())
        if is_terminal(job.status) or job.status is JobStatus.WAITING:
            return JobView(job=job, parked_s=parked_s)
        ran_s = self._runs.running_for_s(job.id) or 0.0
        eta_s = max(job.estimated_s - ran_s, 0.0)
        return JobView(job=job, eta_s=eta_s, progress=self._runs.progress(job.id), parked_s=parked_s)

    def _standing(self, job: Job, place: Place | None) -> Standing:
        draining = self._flow.draining and not self._roster.shared  # others go on
        stopped = self._flow.paused or draining
        eta_s, nobody = None, self._roster.why_nobody(job.pool, only=_only(job))
        if place is not None and not stopped and nobody is None:
            before_s = max(place.work_ahead_s - self._runs.worked_off_s(), 0.0)
            eta_s = before_s / self._roster.machines(job.pool) + job.estimated_s
        return Standing(
            now_s=self._clock(),
            draining=draining,
            paused=self._flow.paused,
            position=None if place is None else place.position,
            eta_s=eta_s,
            nobody=nobody,
        )

    def _aside(self, job: Job) -> bool:
        return job.held or delayed(job, self._clock())


def _only(job: Job) -> str | None:
    """The one instance that may run the job: a partner key is in the memory of the one to which it was sent."""
    return job.origin if job.needs_secret else None
