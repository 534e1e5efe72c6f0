"""The legal moves between statuses, and the one function that makes a move.

Every store changes a job's status through ``advance`` and nowhere else, but for ``reopen``, by which somebody takes an end
back, and ``give_back``, by which a claim is undone; each move yields exactly one event.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .errors import Conflict, Gone, LimitExceeded, NotFound
from .events import JobEvent
from .model import Attempt, Cause, Ending, Job, JobError, JobStatus
from .waits import JobWait, Parked, read_answer

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

REOPENABLE = TERMINAL - {JobStatus.SUCCEEDED}
"""Ends that somebody may take back by hand (``reopen``); by itself no job leaves its end."""


def is_terminal(status: JobStatus) -> bool:
    """Whether a job in ``status`` has ended for good."""
    return status in TERMINAL


def advance(
    job: Job, to: JobStatus, at_s: float, *, cause: Cause | None = None, error: JobError | None = None
) -> tuple[Job, JobEvent]:
    """Move ``job`` to ``to``. Returns the moved job and its event.

    Raises ``Conflict`` with both statuses when the move is not legal. Sets ``started_at_s`` at the first
    start and ``finished_at_s``, ``cause`` and ``error`` at the end, where what was parked is forgotten; touches nothing else.
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
        moved = replace(moved, finished_at_s=at_s, cause=cause, error=error, parked=None)
    return moved, JobEvent.of(moved, at_s, cause=cause)


def start(job: Job, at_s: float, boot_id: str) -> tuple[Job, JobEvent]:
    """Queued to running: opens the next attempt. Answers that were given to an earlier one stay; what nobody answered is asked anew,
    as its pictures went with the run that asked."""
    attempt = Attempt(number=job.attempt + 1, started_at_s=at_s, boot_id=boot_id)
    parked = job.parked and Parked(tuple(wait for wait in job.parked.waits if wait.answer is not None))
    return advance(replace(job, attempts=(*job.attempts, attempt), parked=parked), JobStatus.RUNNING, at_s)


def park(job: Job, at_s: float, waits: tuple[JobWait, ...]) -> tuple[Job, JobEvent]:
    """Running to waiting for people: what every store's ``park`` does. The attempt stays open; the job keeps its score and can be
    claimed again when the first deadline of its questions has come, or one is answered."""
    parked = Parked(waits, at_s, boot_id=job.attempts[-1].boot_id)
    return advance(replace(job, parked=parked, not_before_s=parked.deadline_at_s), JobStatus.WAITING, at_s)


def resume(job: Job, at_s: float, boot_id: str) -> tuple[Job, JobEvent]:
    """Waiting to running: the open attempt goes on in the life ``boot_id``."""
    job = _parked_until(job, at_s)
    attempts = (*job.attempts[:-1], replace(job.attempts[-1], boot_id=boot_id))
    return advance(replace(job, attempts=attempts, not_before_s=None), JobStatus.RUNNING, at_s)


def _parked_until(job: Job, at_s: float) -> Job:
    """The job with the time that it was parked in its open attempt; unchanged when it is not parked."""
    if job.parked is None or job.parked.since_s is None:
        return job
    last = job.attempts[-1]
    last = replace(last, parked_s=last.parked_s + max(0.0, at_s - job.parked.since_s))
    return replace(job, attempts=(*job.attempts[:-1], last), parked=replace(job.parked, since_s=None))


def leave(job: Job, at_s: float, outcome: JobStatus, cause: Cause | None, message: str | None = None) -> Job:
    """A parked job that will not go on, with its attempt closed; unchanged when it is not parked."""
    if job.status is not JobStatus.WAITING:
        return job
    return close_attempt(_parked_until(job, at_s), at_s, outcome, cause, None, message)


def answer(job: Job, token: str, message: str, at_s: float) -> Job:
    """A parked job with one of its questions answered: what every store's ``answer`` does. It can be claimed at once.

    Raises ``Gone`` when the question is over (answered, its time has passed, or the job does not wait any more), ``NotFound`` for one that
    the job never asked, ``LimitExceeded`` for more than it takes, ``InputInvalid`` for no answer to what is asked.
    """
    waits = () if job.parked is None else job.parked.waits
    asked = next((wait for wait in waits if wait.token == token), None)
    if asked is None:
        raise NotFound(f"Job {job.id} asks nothing by this token.", details={"job_id": job.id, "token": token})
    if asked.answer is not None or at_s >= asked.deadline_at_s or job.status is not JobStatus.WAITING:
        raise Gone(f"Node {asked.node_id} no longer waits: it was answered, timed out or was cancelled.")
    size_bytes = len(message.encode("utf-8", "surrogatepass"))
    if size_bytes > asked.max_bytes:
        text = f"The message has {size_bytes} bytes of UTF-8; this wait takes at most {asked.max_bytes}."
        raise LimitExceeded(text, details={"bytes": size_bytes, "max_bytes": asked.max_bytes}, too_large=True)
    read_answer(asked.ask, message)
    answered = tuple(replace(wait, answer=message) if wait is asked else wait for wait in waits)
    return replace(job, parked=_ready(replace(job.parked or Parked(), waits=answered), at_s), not_before_s=None)


def _ready(parked: Parked, at_s: float) -> Parked:
    return parked if parked.ready_at_s is not None else replace(parked, ready_at_s=at_s)


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
    job = _closed_by(job, ending, status, cause)
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

    A queued or parked job ends ``canceled`` at once, nobody runs it; a running one becomes ``canceling`` until its run
    settles; a canceling or ended one is returned unchanged with no event.
    """
    if job.status is JobStatus.CANCELING or is_terminal(job.status):
        return job, ()
    on_machine = job.status is JobStatus.RUNNING
    if job.status is JobStatus.WAITING:
        job = leave(job, at_s, JobStatus.CANCELED, cause)
    job, first = advance(job, JobStatus.CANCELING, at_s)
    if on_machine:
        return job, (first,)
    job, second = advance(job, JobStatus.CANCELED, at_s, cause=cause)
    return job, (first, second)


def retry(job: Job, ending: Ending, not_before_s: float | None) -> tuple[Job, tuple[JobEvent, ...]]:
    """Close the failed attempt and put the job back: what every store's ``retry`` does; its score is kept.

    A job whose cancel was asked for ends ``canceled`` instead, as in ``settle``.
    """
    if job.status is JobStatus.CANCELING:
        return settle(job, ending)
    at_s = ending.finished_at_s
    job = _closed_by(replace(job, not_before_s=not_before_s), ending, JobStatus.FAILED, ending.cause)
    job, first = advance(job, JobStatus.RETRYING, at_s, cause=ending.cause)
    job, second = advance(job, JobStatus.QUEUED, at_s)
    return job, (first, second)


def expire(job: Job, at_s: float) -> tuple[Job, JobEvent]:
    """What becomes of a job that waited longer than it may."""
    error = JobError(Cause.EXPIRED.value, "The job waited longer than its expires_in_s allows and was never finished.")
    return advance(job, JobStatus.EXPIRED, at_s, cause=Cause.EXPIRED, error=error)


def reopen(job: Job, at_s: float) -> tuple[Job, JobEvent]:
    """Put an ended job that did not succeed back into the queue, with a clean slate: what every store's ``redrive`` does.

    Its attempts stay on record but count no more; the end, its outputs and its time limits are forgotten. Raises
    ``Conflict`` for any other job.
    """
    if job.status not in REOPENABLE:
        raise Conflict(
            f"Job {job.id} is {job.status.value}; only one that failed, was cancelled or expired can run again.",
            details={"job_id": job.id, "status": job.status.value},
        )
    blank = replace(
        job,
        status=JobStatus.QUEUED,
        queued_at_s=at_s,
        forgiven=job.attempt,
        finished_at_s=None,
        cause=None,
        error=None,
        outputs=(),
        cached=False,
        held=False,
        not_before_s=None,
        expires_at_s=None,
        parked=None,
    )
    return blank, JobEvent.of(blank, at_s)


def give_back(job: Job, at_s: float) -> tuple[Job, JobEvent]:
    """Undo the claim of a job that cannot run where it was claimed: what every store's ``give_back`` does.

    Its open attempt goes as if it had not been, and it waits on as it did before: neither its score nor the time since which it
    waits changes. One that was parked is parked again, in its attempt and by who parked it, and can be claimed at once. A job whose
    cancel was asked for ends ``canceled`` instead. One event either way.
    """
    if job.parked is not None and job.parked.boot_id:
        return _given_back_parked(job, job.parked, at_s)
    attempts = job.attempts[:-1]
    job = replace(job, attempts=attempts, started_at_s=job.started_at_s if attempts else None)
    if job.status is JobStatus.CANCELING:
        return advance(job, JobStatus.CANCELED, at_s, cause=Cause.CANCELED)
    waiting = replace(job, status=JobStatus.QUEUED)
    return waiting, JobEvent.of(waiting, at_s)


def _given_back_parked(job: Job, parked: Parked, at_s: float) -> tuple[Job, JobEvent]:
    if job.status is JobStatus.CANCELING:
        job = close_attempt(job, at_s, JobStatus.CANCELED, Cause.CANCELED, None)
        return advance(job, JobStatus.CANCELED, at_s, cause=Cause.CANCELED)
    attempts = (*job.attempts[:-1], replace(job.attempts[-1], boot_id=parked.boot_id))
    parked = _ready(replace(parked, since_s=at_s), at_s)
    return advance(replace(job, attempts=attempts, parked=parked), JobStatus.WAITING, at_s)


@dataclass(frozen=True, slots=True)
class LastSeen:
    """What the process that died left behind of the job that it ran: for people to find the culprit."""

    node_id: str | None = None
    class_type: str | None = None
    log_tail: str | None = None


def recover(
    job: Job,
    at_s: float,
    max_deaths: int,
    *,
    rerun: bool = True,
    seen: LastSeen | None = None,
    lease_lost: bool = False,
) -> tuple[Job, tuple[JobEvent, ...]]:
    """What becomes of a job whose process ended while it ran: what every store's ``recover`` does.

    The open attempt is closed as ``PROCESS_DIED``, or as ``INTERRUPTED`` after a planned stop; with ``lease_lost`` as ``LEASE_LOST``:
    nobody knows whether its instance died or is only cut off. A canceling job ends
    ``canceled``; a job that has now died ``max_deaths`` times fails as ``POISON`` with what was seen last; without
    ``rerun`` any other fails with its cause; else it goes back to the queue. A job found ``retrying`` goes back too.
    """
    stopped = bool(job.attempts) and job.attempts[-1].outcome is None and job.attempts[-1].cause is Cause.INTERRUPTED
    died = Cause.LEASE_LOST if lease_lost else Cause.PROCESS_DIED
    cause = Cause.INTERRUPTED if stopped else died
    seen = seen or LastSeen()
    # When a process died nobody knows; when it was asked to stop was written down.
    ended_at_s = (job.attempts[-1].finished_at_s if stopped else None) or at_s
    job = close_attempt(job, ended_at_s, JobStatus.FAILED, cause, seen.node_id, _CUT_SHORT[cause])
    if job.status is JobStatus.CANCELING:
        job, event = advance(job, JobStatus.CANCELED, at_s, cause=Cause.CANCELED)
        return job, (event,)
    if job.deaths >= max_deaths:
        text = f"The server process died {job.deaths} times while this job ran; it is not tried again."
        return _given_up(job, at_s, Cause.POISON, text, seen)
    if not rerun:
        text = "The server process ended while this job ran, and its settings say not to run such jobs again."
        return _given_up(job, at_s, cause, text, seen)
    events: list[JobEvent] = []
    if job.status is not JobStatus.RETRYING:
        job, event = advance(job, JobStatus.RETRYING, at_s, cause=cause)
        events.append(event)
    job, event = advance(job, JobStatus.QUEUED, at_s)
    return job, (*events, event)


_CUT_SHORT = {
    Cause.INTERRUPTED: "The server was stopped while this attempt ran.",
    Cause.PROCESS_DIED: "The server process ended while this attempt ran.",
    Cause.LEASE_LOST: "The instance that ran this attempt was not heard of for longer than its lease.",
}


def _given_up(job: Job, at_s: float, cause: Cause, text: str, seen: LastSeen) -> tuple[Job, tuple[JobEvent, ...]]:
    error = JobError(cause.value, text, node_id=seen.node_id, class_type=seen.class_type, traceback=seen.log_tail)
    job, event = advance(job, JobStatus.FAILED, at_s, cause=cause, error=error)
    return job, (event,)


def _closed_by(job: Job, ending: Ending, outcome: JobStatus, cause: Cause | None) -> Job:
    message = None if ending.error is None or outcome is JobStatus.CANCELED else ending.error.message
    return close_attempt(job, ending.finished_at_s, outcome, cause, ending.last_node_id, message)


def close_attempt(
    job: Job, at_s: float, outcome: JobStatus, cause: Cause | None, last_node_id: str | None, message: str | None = None
) -> Job:
    """The job with its last attempt closed; unchanged when it has none that is open."""
    if not job.attempts or job.attempts[-1].outcome is not None:
        return job
    closed = replace(
        job.attempts[-1], finished_at_s=at_s, outcome=outcome, cause=cause, last_node_id=last_node_id, message=message
    )
    return replace(job, attempts=(*job.attempts[:-1], closed))
