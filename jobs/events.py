"""The closed set of facts about jobs, all in one file.

An event is told after its commit and never before. Names are past tense, ``job.<status>``, but for the
first start (``job.started``) and for outputs (``job.output``). Every one of them is kept in the store's event log
(``store.log``), numbered. ``job.progress`` and ``job.preview`` are told as they come, the latest only: neither kept nor numbered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .model import Cause, Job, JobStatus, JsonObject, Output

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
"""The types of events that are kept."""

END_TYPES = frozenset(
    _NAMES[status] for status in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED, JobStatus.EXPIRED)
)
"""The types of those that are a job's last, unless somebody puts it back into the queue."""

PROGRESS = "job.progress"
PREVIEW = "job.preview"
PASSING_TYPES = frozenset({PROGRESS, PREVIEW})
"""The types that are told and not kept."""


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One committed fact: its ``type``, the job as it stands after it, and when.

    The store gives it its ``position`` in the stream of all events and its ``number`` among the job's own, from 1; both grow
    by the commit order, and both are 0 where no log is kept.
    """

    type: str
    job: Job
    at_s: float
    cause: Cause | None = None
    produced: Output | None = None
    position: int = 0
    number: int = 0

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

    def numbered(self, position: int, number: int) -> JobEvent:
        """The same event in its place in the log."""
        return JobEvent(self.type, self.job, self.at_s, self.cause, self.produced, position, number)

    def logged(self) -> LoggedEvent:
        """The event as the log keeps it: what is told live and what is replayed are the same."""
        job = self.job
        return LoggedEvent(
            position=self.position,
            number=self.number,
            type=self.type,
            at_s=self.at_s,
            job_id=job.id,
            principal=job.principal.name,
            batch_id=None if job.slot is None else job.slot.batch_id,
            facts=_facts(self),
        )


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event as it is kept and told to clients. ``facts`` is JSON: ``status``, ``priority``, ``attempt``, ``cause``, ``held``; with
    ``job.output`` also ``output``; with ``job.failed`` also ``error`` (without its traceback)."""

    position: int
    number: int
    type: str
    at_s: float
    job_id: str
    principal: str
    batch_id: str | None
    facts: JsonObject


def _facts(event: JobEvent) -> JsonObject:
    job, produced = event.job, event.produced
    facts: JsonObject = {
        "status": job.status.value,
        "priority": job.priority,
        "attempt": job.attempt,
        "cause": event.cause.value if event.cause else None,
        "held": job.held,
    }
    if produced is not None:
        facts["output"] = {
            "node_id": produced.node_id,
            "name": produced.name,
            "subfolder": produced.subfolder,
            "folder": produced.folder,
            "type": produced.kind,
            "content_type": produced.content_type,
            "size_bytes": produced.size_bytes,
            "cached": produced.cached,
        }
    if event.type == _NAMES[JobStatus.FAILED] and job.error is not None:
        error = job.error
        facts["error"] = {
            "code": error.code,
            "message": error.message,
            "node_id": error.node_id,
            "class_type": error.class_type,
        }
    return facts


class Publisher(Protocol):
    """Where a store tells committed events: called in commit order, from any thread; must be quick and never raise."""

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """Tell ``events`` to whoever listens."""
        ...
