"""What the use cases give back: frozen records that routes render."""

from __future__ import annotations

from dataclasses import dataclass

from ..jobs.model import Job, Progress
from ..store.base import Reprioritise
from ..store.records import PAGE_LIMIT_MAX, Ahead, JobPage, JobQuery
from .waiting import Waiting

__all__ = [
    "PAGE_LIMIT_MAX",
    "Ahead",
    "BulkReport",
    "DepthView",
    "JobListing",
    "JobPage",
    "JobQuery",
    "JobView",
    "QueueView",
    "RefusedJob",
    "Reprioritise",
    "Submitted",
    "Verdict",
    "Waiting",
]


@dataclass(frozen=True, slots=True)
class JobView:
    """A job with what only the moment knows.

    ``position`` counts from 1 (next) while it waits, else None. ``eta_s``: estimated seconds until it *ends*; None once
    it has ended, and while nobody can say (held, delayed, a queue that stands still). ``waiting``: why it waits; None when
    it does not. ``parked_s``: how long it has waited for people off the machine by now.
    """

    job: Job
    position: int | None = None
    eta_s: float | None = None
    progress: Progress | None = None
    waiting: Waiting | None = None
    parked_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job of a request to submit; ``repeated``: an earlier, equal request got it in."""

    view: JobView
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class JobListing:
    """One page of jobs, newest first."""

    jobs: tuple[JobView, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class DepthView:
    """Jobs and estimated seconds of work in one group."""

    jobs: int
    work_s: float


@dataclass(frozen=True, slots=True)
class QueueView:
    """The queue at a glance. ``work_s`` is the estimated time until all of it is done, None while it stands still.

    ``held`` and ``delayed`` count waiting jobs that nobody has released or whose time has not come; ``parked`` those that wait for people.
    """

    waiting: int
    running: int
    work_s: float | None
    by_priority: dict[int, DepthView]
    by_principal: dict[str, DepthView]
    oldest_wait_s: float | None
    paused: bool = False
    draining: bool = False
    held: int = 0
    delayed: int = 0
    parked: int = 0
    drain_rate_jobs_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A dry run that found no fault: what the job would cost and where it would stand."""

    priority: int
    nodes: int
    outputs: tuple[str, ...]
    estimated_s: float


@dataclass(frozen=True, slots=True)
class RefusedJob:
    """A job that a bulk call could not change, and why."""

    job_id: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class BulkReport:
    """What a bulk call did. ``unchanged`` were so already. ``refused`` counts all; ``refused_jobs`` lists the first of them.

    ``more``: there may be others that it did not come to; call again.
    """

    matched: int
    changed: int
    unchanged: int
    refused: int
    refused_jobs: tuple[RefusedJob, ...]
    more: bool
