"""What the use cases give back: frozen records that routes render."""

from __future__ import annotations

from dataclasses import dataclass

from ..jobs.model import Job, Progress
from ..store.base import PAGE_LIMIT_MAX, JobQuery, Reprioritise

__all__ = [
    "PAGE_LIMIT_MAX",
    "DepthView",
    "JobListing",
    "JobQuery",
    "JobView",
    "QueueView",
    "Reprioritise",
    "Submitted",
    "Verdict",
]


@dataclass(frozen=True, slots=True)
class JobView:
    """A job with what only the moment knows.

    ``position`` counts from 1 (next) while it waits, else None. ``eta_s``: estimated seconds until it *ends*; None once
    it has ended.
    """

    job: Job
    position: int | None = None
    eta_s: float | None = None
    progress: Progress | None = None


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
    """The queue at a glance. ``work_s`` is the estimated time until all of it is done."""

    waiting: int
    running: int
    work_s: float
    by_priority: dict[int, DepthView]
    by_principal: dict[str, DepthView]
    oldest_wait_s: float | None
    paused: bool = False
    drain_rate_jobs_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A dry run that found no fault: what the job would cost and where it would stand."""

    priority: int
    nodes: int
    outputs: tuple[str, ...]
    estimated_s: float
