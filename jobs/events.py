"""The closed set of facts about jobs, all in one file.

An event is told after its commit and never before. Names are past tense, ``job.<status>``, but for the
first start (``job.started``) and for outputs (``job.output``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .model import Cause, Job, JobStatus, Output

_NAMES: dict[JobStatus, str] = {
    JobStatus.QUEUED: "job.queued",
    JobStatus.RUNNING: "job.started",
    JobStatus.WAITING: "job.waiting",
    JobStatus.RETRYING: "job.retrying",
    JobStatus.CANCELING: "job.canceling",
    JobStatus.SUCCEEDED: "job.succeeded",
    JobStatus.FAILED: "job.failed",
    JobStatus.CANCELED: "job.canceled",
    JobStatus.EXPIRED: "job.expired",
}
OUTPUT = "job.output"
REPRIORITISED = "job.reprioritised"
HELD = "job.held"
RELEASED = "job.released"
EVENT_TYPES = frozenset({*_NAMES.values(), OUTPUT, REPRIORITISED, HELD, RELEASED})


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One committed fact: its ``type``, the job as it stands after it, and when."""

    type: str
    job: Job
    at_s: float
    cause: Cause | None = None
    produced: Output | None = None

    @classmethod
    def of(cls, job: Job, at_s: float, cause: Cause | None = None) -> JobEvent:
        """The event of a job that has just reached its status."""
        return cls(type=_NAMES[job.status], job=job, at_s=at_s, cause=cause)

    @classmethod
    def output(cls, job: Job, at_s: float, produced: Output) -> JobEvent:
        """The event of one output; always told before the terminal one."""
        return cls(type=OUTPUT, job=job, at_s=at_s, produced=produced)

    @classmethod
    def reprioritised(cls, job: Job, at_s: float) -> JobEvent:
        """The event of a waiting job that was given another place in the queue."""
        return cls(type=REPRIORITISED, job=job, at_s=at_s)

    @classmethod
    def hold(cls, job: Job, at_s: float) -> JobEvent:
        """The event of a waiting job that was held or released."""
        return cls(type=HELD if job.held else RELEASED, job=job, at_s=at_s)


class Publisher(Protocol):
    """Where a store tells committed events: called in commit order, from any thread; must be quick and never raise."""

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """Tell ``events`` to whoever listens."""
        ...
