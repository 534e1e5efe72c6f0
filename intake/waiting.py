"""Why a job waits: one reason, one sentence, and who stands before it. Pure.

Owns the reasons and their order. Never names another principal. Not owned: who stands where (``store``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from ..jobs.model import Job
from ..jobs.times import rfc3339
from ..store.records import Ahead, EstimateBasis


class WaitReason(str, Enum):
    """The first of these that holds, in this order."""

    HELD = "held"
    NOT_BEFORE = "not_before"
    BACKOFF = "backoff"
    DRAINING = "draining"
    PAUSED = "paused"
    NO_INSTANCE = "no_instance"
    SUSPECT = "suspect"
    AHEAD = "ahead_in_line"
    NEXT = "next"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a waiting job at one moment. ``ahead``, ``basis``: None where nobody asked, or it is not in the line.

    ``position`` and ``eta_s`` as in ``views.JobView``. ``nobody``: why none of several instances would start it.
    """

    now_s: float
    draining: bool = False
    paused: bool = False
    position: int | None = None
    eta_s: float | None = None
    ahead: Ahead | None = None
    basis: EstimateBasis | None = None
    nobody: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a job waits. ``until_s``: when it may start at the earliest, of ``not_before`` and ``backoff``."""

    reason: WaitReason
    message: str
    position: int | None = None
    ahead: Ahead | None = None
    eta_s: float | None = None
    eta_basis: EstimateBasis | None = None
    until_s: float | None = None
    expires_at_s: float | None = None


_BY = {
    EstimateBasis.SAME_WORKFLOW: "by past runs of the same workflow",
    EstimateBasis.ALL_WORKFLOWS: "by past runs of all workflows",
    EstimateBasis.DEFAULT: "by a guess: nothing has run yet",
}


def delayed(job: Job, now_s: float) -> bool:
    """Whether it is too early for the job."""
    return job.not_before_s is not None and job.not_before_s > now_s


def explain(job: Job, standing: Standing) -> Waiting:
    """Why the queued ``job`` waits."""
    reason = _reason(job, standing)
    message = _sentence(job, standing, reason)
    if standing.eta_s is not None and standing.basis is not None:
        message += f" About {standing.eta_s:.0f} s until it ends, {_BY[standing.basis]}."
    return Waiting(
        reason=reason,
        message=message,
        position=standing.position,
        ahead=standing.ahead,
        eta_s=standing.eta_s,
        eta_basis=standing.basis,
        until_s=job.not_before_s if reason in {WaitReason.NOT_BEFORE, WaitReason.BACKOFF} else None,
        expires_at_s=job.expires_at_s,
    )


def _reason(job: Job, standing: Standing) -> WaitReason:
    if job.held:
        return WaitReason.HELD
    if delayed(job, standing.now_s):
        return WaitReason.BACKOFF if job.attempt > job.forgiven else WaitReason.NOT_BEFORE
    stopped = _stopped(standing)
    if stopped is not None:
        return stopped
    first = standing.position is None or standing.position == 1
    if job.suspect and not first:
        return WaitReason.SUSPECT
    return WaitReason.NEXT if first else WaitReason.AHEAD


def _stopped(standing: Standing) -> WaitReason | None:
    if standing.draining:
        return WaitReason.DRAINING
    if standing.paused:
        return WaitReason.PAUSED
    return None if standing.nobody is None else WaitReason.NO_INSTANCE


_STOPPED = {
    WaitReason.HELD: "It is held back until somebody releases it.",
    WaitReason.DRAINING: "The server is draining and starts nothing more: the job keeps its place and runs after the restart.",
    WaitReason.PAUSED: "The queue is paused: nothing starts until it is resumed.",
}


def _sentence(job: Job, standing: Standing, reason: WaitReason) -> str:
    if reason in _STOPPED:
        return _STOPPED[reason]
    if reason is WaitReason.NO_INSTANCE:
        return standing.nobody or ""
    if reason is WaitReason.NEXT:
        runs = standing.ahead is not None and standing.ahead.running > 0
        return "It is next" + (" and starts when what runs has ended." if runs else ".")
    if reason is WaitReason.AHEAD:
        return _in_front(standing)
    if reason is WaitReason.SUSPECT:
        return f"The server process died {job.deaths} times while it ran, so it runs after all other work. {_in_front(standing)}"
    return _too_early(job, reason)


def _too_early(job: Job, reason: WaitReason) -> str:
    until = rfc3339(job.not_before_s or 0.0)
    if reason is WaitReason.NOT_BEFORE:
        return f"It may not start before {until}."
    cause = job.attempts[-1].cause
    why = f" ({cause.value})" if cause else ""
    return f"Attempt {job.attempt} failed{why}; the next one starts at {until} or later."


def _in_front(standing: Standing) -> str:
    count = (standing.position or 1) - 1
    sentence = f"{_jobs(count)} stand{'s' if count == 1 else ''} before it"
    ahead = standing.ahead
    if ahead is None:
        return f"{sentence}."
    parts = [_levels(ahead.waiting)] if ahead.waiting else []
    if ahead.own:
        parts.append(f"{ahead.own} of them of the same principal")
    inside = f" ({'; '.join(parts)})" if parts else ""
    return f"{sentence}{inside}, {_jobs(ahead.running)} run{'s' if ahead.running == 1 else ''} now."


def _levels(waiting: Mapping[int, int]) -> str:
    return ", ".join(f"{count} of priority {priority}" for priority, count in sorted(waiting.items(), reverse=True))


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"
