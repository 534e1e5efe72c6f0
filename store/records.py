"""What is asked of the queue about its jobs, and what it answers: records of the reading verbs of ``store.base``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from ..jobs.model import Cause, Job, JobStatus

PAGE_LIMIT_MAX = 1000
"""The most jobs of one page."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A principal's request key, and the job that it stands for."""

    principal: str
    key: str
    fingerprint: str
    job_id: str
    created_at_s: float


class Crowd(NamedTuple):
    """What waits for a machine (``queued`` or ``retrying``): jobs, the bytes of their payloads, jobs by trusted principal, and the jobs of
    all others."""

    jobs: int
    size_bytes: int
    of_trusted: Mapping[str, int]
    of_others: int


@dataclass(frozen=True, slots=True)
class JobQuery:
    """What ``page`` selects. ``cursor`` is a ``JobPage.next_cursor``; ``limit`` is 1 to ``PAGE_LIMIT_MAX``, newest jobs first.

    ``causes``: only jobs that ended with one of these. ``held``: only (True) or no (False) held jobs.
    ``labels``: pairs of key and value that must all stand in the metadata as texts.
    """

    statuses: tuple[JobStatus, ...] = ()
    principal: str | None = None
    cursor: str | None = None
    limit: int = 50
    causes: tuple[Cause, ...] = ()
    held: bool | None = None
    batch_id: str | None = None
    labels: tuple[tuple[str, str], ...] = ()

    def wants(self, job: Job) -> bool:
        """Whether it selects this job, on whatever page."""
        return (
            (not self.statuses or job.status in self.statuses)
            and self.principal in (None, job.principal.name)
            and (not self.causes or job.cause in self.causes)
            and self.held in (None, job.held)
            and (self.batch_id is None or (job.slot is not None and job.slot.batch_id == self.batch_id))
            and all(job.metadata.get(key) == value for key, value in self.labels)
        )


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
class Ahead:
    """Who stands before a waiting job: how many waiting jobs per priority, how many of its own principal among them, how
    many run now, and the estimated seconds of all of them."""

    waiting: Mapping[int, int]
    own: int
    running: int
    work_s: float


class EstimateBasis(str, Enum):
    """What an estimate was learned from."""

    SAME_WORKFLOW = "same_workflow"
    ALL_WORKFLOWS = "all_workflows"
    DEFAULT = "default"


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
    """The queue at a glance; rows only for unfinished jobs. ``oldest_queued_at_s`` is None when nothing waits.

    ``held`` and ``delayed`` count queued jobs that cannot be claimed now: held ones, and those before their ``not_before_s``.
    """

    rows: tuple[DepthRow, ...]
    oldest_queued_at_s: float | None
    paused: bool = False
    held: int = 0
    delayed: int = 0
