"""The durable queue's contract, in queue verbs: what every store promises and ``tests/conformance`` holds it to.

Guarantees:

* Verbs may be called from any thread and never wait on disk or network themselves: each returns a
  ``concurrent.futures.Future``. A done future of a writing verb means *committed*: after it, ``kill -9`` loses nothing.
* Verbs take effect one after the other, in the order in which they were called (also across threads).
* A verb that raises has changed nothing. ``StoreUnavailable`` means that nothing was stored; the store stays usable
  and the next verb tries again.
* ``claim`` gives every job to one caller only; ``finish`` accepts only the job's current attempt (``Conflict`` otherwise).
* Status changes are made by ``jobs.transitions`` alone; their events go to the ``Publisher`` after the commit, in
  commit order, before the verb's future is done.
* The order of ``claim`` is ``jobs.ordering.sort_key``; ``held`` jobs are skipped.

Not owned: which jobs may enter (``intake``), when to claim and how to judge a run (``dispatch``).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from ..jobs.model import Cause, Claim, Ending, Job, JobStatus, NewJob, Payload

Clock = Callable[[], float]
"""Seconds since the epoch."""

PAGE_LIMIT_MAX = 1000
"""The most jobs of one page."""

MAX_DEATHS = 3
"""A job whose process died this often while it ran fails as POISON (DESIGN 8)."""


@dataclass(frozen=True, slots=True)
class JobQuery:
    """What ``page`` selects. ``cursor`` is a ``JobPage.next_cursor``; ``limit`` is 1 to ``PAGE_LIMIT_MAX``, newest jobs first."""

    statuses: tuple[JobStatus, ...] = ()
    principal: str | None = None
    cursor: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of jobs, newest first; ``next_cursor`` is None on the last page."""

    jobs: tuple[Job, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a waiting job stands: ``position`` from 1 (next), and the estimated seconds of work before it.

    ``work_ahead_s`` counts waiting jobs before it and the whole estimate of running ones.
    """

    position: int
    work_ahead_s: float


@dataclass(frozen=True, slots=True)
class DepthRow:
    """How many unfinished jobs one principal has at one priority in one status, and their estimated seconds."""

    principal: str
    priority: int
    status: JobStatus
    jobs: int
    work_s: float


@dataclass(frozen=True, slots=True)
class QueueSummary:
    """The queue at a glance; rows only for unfinished jobs. ``oldest_queued_at_s`` is None when nothing waits."""

    rows: tuple[DepthRow, ...]
    oldest_queued_at_s: float | None


@dataclass(frozen=True, slots=True)
class Reprioritise:
    """A new place for a waiting job: a priority, or the front (then ``priority`` is None)."""

    priority: int | None = None
    front: bool = False


@dataclass(frozen=True, slots=True)
class Recovered:
    """What ``recover`` found: every job that waits now (in claim order, with its payload), and how many came back from a dead run."""

    waiting: tuple[tuple[Job, Payload], ...]
    requeued: int
    failed: int


@dataclass(frozen=True, slots=True)
class StoreState:
    """For health: ``kind`` is ``memory`` or ``sqlite``; ``error`` is None when the last write worked."""

    kind: str
    open: bool
    error: str | None
    pending_writes: int


class StoreObserver(Protocol):
    """Hears how the store works, for metrics. Called from the store's own thread; must be quick and never raise."""

    def committed(self, duration_s: float, verbs: int) -> None:
        """One commit of ``verbs`` verbs took ``duration_s``."""
        ...


class JobStore(Protocol):
    """See the module's docstring for what holds for all verbs."""

    def open(self) -> None:
        """Make the store usable; blocks. Raises ``StoreUnavailable`` when it cannot be opened; may be tried again."""
        ...

    def close(self) -> None:
        """Commit what was asked for and let go of files and threads; blocks; idempotent."""
        ...

    def state(self) -> StoreState:
        """How the store is; no I/O."""
        ...

    def enqueue(self, job: NewJob) -> Future[Job]:
        """Store a job as queued: estimates its time from its signature, tags and scores it. ``Conflict`` if the id is known."""
        ...

    def claim(self) -> Future[Claim | None]:
        """Take the first waiting job, open its next attempt and advance the virtual time; None when nothing waits."""
        ...

    def finish(self, job_id: str, attempt: int, ending: Ending) -> Future[Job]:
        """Settle an attempt (``transitions.settle``) and learn its run time if it succeeded.

        ``NotFound`` for an unknown job; ``Conflict`` when ``attempt`` is not the job's open one (late result: refused).
        """
        ...

    def cancel(self, job_id: str, cause: Cause = Cause.CANCELED) -> Future[Job]:
        """Ask for cancellation (``transitions.withdraw``); idempotent. ``NotFound`` for an unknown job."""
        ...

    def reprioritise(self, job_id: str, change: Reprioritise) -> Future[Job]:
        """Give a queued job another place. ``NotFound`` if unknown, ``Conflict`` with the status if it does not wait."""
        ...

    def fail_queued(self, job_id: str, ending: Ending) -> Future[Job]:
        """End a *queued* job as failed without an attempt (for example ``SECRET_LOST``); ``Conflict`` if it does not wait."""
        ...

    def probe(self) -> Future[None]:
        """Write what is there already: fails as any writing verb would, and changes nothing.

        After a failure ``state().error`` stays until a write works again; this is a write for when nobody else writes.
        """
        ...

    def recover(self) -> Future[Recovered]:
        """After a start: jobs whose attempt is of another boot are recovered (``transitions.recover``); lists all that wait."""
        ...

    def get(self, job_id: str) -> Future[Job | None]:
        """One job, or None."""
        ...

    def payload(self, job_id: str) -> Future[Payload | None]:
        """What a job runs, or None."""
        ...

    def page(self, query: JobQuery) -> Future[JobPage]:
        """Jobs by filter, newest first. ``InputInvalid`` for a cursor that is not ours."""
        ...

    def place(self, job_id: str) -> Future[Place | None]:
        """Where a queued job stands; None when it does not wait."""
        ...

    def summary(self) -> Future[QueueSummary]:
        """Depth of the queue by principal, priority and status."""
        ...

    def estimate(self, signature: str) -> Future[float]:
        """Estimated run time in seconds: of this signature, else of all, else ``DEFAULT_ESTIMATE_S``."""
        ...
