"""The legal moves between statuses, and the one function that makes a move.

Every store changes a job's status through ``advance`` and nowhere else; each move yields exactly one event.
"""

from __future__ import annotations

from dataclasses import replace

from .errors import Conflict
from .events import JobEvent
from .model import Attempt, Cause, Ending, Job, JobError, JobStatus

TERMINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED, JobStatus.EXPIRED})

LEGAL: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.CANCELING, JobStatus.EXPIRED, JobStatus.FAILED}),
    JobStatus.RUNNING: frozenset(
        {JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.WAITING, JobStatus.CANCELING, JobStatus.RETRYING}
    ),
    JobStatus.WAITING: frozenset({JobStatus.RUNNING, JobStatus.CANCELING, JobStatus.RETRYING, JobStatus.FAILED}),
    JobStatus.RETRYING: frozenset({JobStatus.QUEUED, JobStatus.FAILED, JobStatus.CANCELING}),
    JobStatus.CANCELING: frozenset({JobStatus.CANCELED}),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELED: frozenset(),
    JobStatus.EXPIRED: frozenset(),
}


def is_terminal(status: JobStatus) -> bool:
    """Whether a job in ``status`` has ended for good."""
    return status in TERMINAL


def advance(
    job: Job, to: JobStatus, at_s: float, *, cause: Cause | None = None, error: JobError | None = None
) -> tuple[Job, JobEvent]:
    """Move ``job`` to ``to``. Returns the moved job and its event.

    Raises ``Conflict`` with both statuses when the move is not legal. Sets ``started_at_s`` at the first
    start and ``finished_at_s``, ``cause`` and ``error`` at the end; touches nothing else.
    """
    if to not in LEGAL[job.status]:
        raise Conflict(
            f"Job {job.id} is {job.status.value} and cannot become {to.value}.",
            details={"job_id": job.id, "status": job.status.value},
        )
    moved = replace(job, status=to)
    if to is JobStatus.RUNNING and job.started_at_s is None:
        moved = replace(moved, started_at_s=at_s)
    if to is JobStatus.QUEUED:
        moved = replace(moved, queued_at_s=at_s)
    if to in TERMINAL:
        moved = replace(moved, finished_at_s=at_s, cause=cause, error=error)
    return moved, JobEvent.of(moved, at_s, cause=cause)


def start(job: Job, at_s: float, boot_id: str) -> tuple[Job, JobEvent]:
    """Queued to running: opens the next attempt."""
    attempt = Attempt(number=job.attempt + 1, started_at_s=at_s, boot_id=boot_id)
    return advance(replace(job, attempts=(*job.attempts, attempt)), JobStatus.RUNNING, at_s)


def settle(job: Job, ending: Ending) -> tuple[Job, tuple[JobEvent, ...]]:
    """Close the current attempt and end the job: what every store's ``finish`` does.

    A job whose cancel was asked for ends ``canceled`` however its run ended (outputs made are kept); an
    interruption that nobody asked for through us goes ``running -> canceling -> canceled``.
    """
    at_s = ending.finished_at_s
    canceled = job.status is JobStatus.CANCELING or ending.status is JobStatus.CANCELED
    status = JobStatus.CANCELED if canceled else ending.status
    cause = ending.cause
    if job.status is JobStatus.CANCELING:
        cause = Cause.CANCELED
    job = close_attempt(job, at_s, status, cause, ending.last_node_id)
    job = replace(job, outputs=ending.outputs, cached=ending.cached)
    events: list[JobEvent] = [JobEvent.output(job, at_s, output) for output in ending.outputs]
    if canceled and job.status is not JobStatus.CANCELING:
        job, event = advance(job, JobStatus.CANCELING, at_s)
        events.append(event)
    job, event = advance(job, status, at_s, cause=cause, error=None if canceled else ending.error)
    events.append(event)
    return job, tuple(events)


def withdraw(job: Job, at_s: float, cause: Cause = Cause.CANCELED) -> tuple[Job, tuple[JobEvent, ...]]:
    """Ask for a job's cancellation: what every store's ``cancel`` does; idempotent.

    A queued job ends ``canceled`` at once; a running or waiting one becomes ``canceling`` until its run
    settles; a canceling or ended one is returned unchanged with no event.
    """
    if job.status is JobStatus.CANCELING or is_terminal(job.status):
        return job, ()
    on_machine = job.status in {JobStatus.RUNNING, JobStatus.WAITING}
    job, first = advance(job, JobStatus.CANCELING, at_s)
    if on_machine:
        return job, (first,)
    job, second = advance(job, JobStatus.CANCELED, at_s, cause=cause)
    return job, (first, second)


def recover(job: Job, at_s: float, max_deaths: int) -> tuple[Job, tuple[JobEvent, ...]]:
    """What becomes of a job whose process died while it ran: what every store's ``recover`` does.

    The open attempt is closed as ``PROCESS_DIED``. A canceling job ends ``canceled``; a job that has now
    died ``max_deaths`` times fails as ``POISON``; any other goes back to the queue with its score kept.
    """
    job = close_attempt(job, at_s, JobStatus.FAILED, Cause.PROCESS_DIED, None)
    if job.status is JobStatus.CANCELING:
        job, event = advance(job, JobStatus.CANCELED, at_s, cause=Cause.CANCELED)
        return job, (event,)
    deaths = sum(attempt.cause is Cause.PROCESS_DIED for attempt in job.attempts)
    if deaths >= max_deaths:
        error = JobError(
            code=Cause.POISON.value,
            message=f"The server process died {deaths} times while this job ran; it is not tried again.",
        )
        job, event = advance(job, JobStatus.FAILED, at_s, cause=Cause.POISON, error=error)
        return job, (event,)
    job, first = advance(job, JobStatus.RETRYING, at_s, cause=Cause.PROCESS_DIED)
    job, second = advance(job, JobStatus.QUEUED, at_s)
    return job, (first, second)


def close_attempt(job: Job, at_s: float, outcome: JobStatus, cause: Cause | None, last_node_id: str | None) -> Job:
    """The job with its last attempt closed; unchanged when it has none that is open."""
    if not job.attempts or job.attempts[-1].outcome is not None:
        return job
    closed = replace(job.attempts[-1], finished_at_s=at_s, outcome=outcome, cause=cause, last_node_id=last_node_id)
    return replace(job, attempts=(*job.attempts[:-1], closed))
