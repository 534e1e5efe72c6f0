"""What follows an attempt that failed: the job's end, another attempt at once, or another one after a back-off. Pure.

Level 1, in place: at most once in a row for one cause, since the caller frees memory before it and more than that it cannot
do. Level 2, later: with a back-off. Level 3: the end as ``failed``; such jobs are the dead letters that people re-drive.
Levels 1 and 2 together take no more tries than ``max_attempts``. What a cause's level is stands in ``jobs.causes``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..jobs.backoff import Backoff
from ..jobs.causes import CAUSES, RetryLevel
from ..jobs.model import Cause, Ending, Job, JobStatus

DEFAULT_LEVELS: Mapping[Cause, RetryLevel] = {cause: row.level for cause, row in CAUSES.items()}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``max_attempts`` is for jobs that name no number of their own. ``levels`` holds what the settings changed."""

    max_attempts: int = 3
    backoff: Backoff = field(default_factory=Backoff)
    levels: Mapping[Cause, RetryLevel] = field(default_factory=lambda: {})

    def level(self, cause: Cause | None) -> RetryLevel:
        """What becomes of an attempt that failed for ``cause``."""
        if cause is None:
            return RetryLevel.NEVER
        return self.levels.get(cause, DEFAULT_LEVELS[cause])


@dataclass(frozen=True, slots=True)
class Last:
    """The attempt was the last: the job ends as it did."""


@dataclass(frozen=True, slots=True)
class AgainLater:
    """The job goes back into the queue, and is not claimed before this time."""

    not_before_s: float


@dataclass(frozen=True, slots=True)
class AgainNow:
    """The job runs again where it stands, after memory was freed."""


Decision = Last | AgainLater | AgainNow


def decide(job: Job, ending: Ending, policy: RetryPolicy, rng: Callable[[], float]) -> Decision:
    """What follows ``ending`` of the open attempt of ``job``, which is its last one."""
    if ending.status is not JobStatus.FAILED or job.status is JobStatus.CANCELING:
        return Last()
    level = policy.level(ending.cause)
    if level is RetryLevel.NEVER or job.tries >= (job.max_attempts or policy.max_attempts):
        return Last()
    if level is RetryLevel.LATER:
        return AgainLater(ending.finished_at_s + policy.backoff.delay_s(job.tries, rng))
    return Last() if _failed_so_just_before(job, ending.cause) else AgainNow()


def _failed_so_just_before(job: Job, cause: Cause | None) -> bool:
    counted = [attempt for attempt in job.attempts[:-1] if attempt.number > job.forgiven]
    return bool(counted) and counted[-1].cause is cause
