"""How a job of ours reads in the contract: its status, its error's code, how long it is kept. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ...jobs.model import Attempt, Cause, Job, JobError, JobStatus
from ...jobs.transitions import is_terminal

STATUS: dict[JobStatus, str] = {
    JobStatus.QUEUED: "queued",
    JobStatus.RETRYING: "queued",
    JobStatus.RUNNING: "running",
    JobStatus.WAITING: "running",
    JobStatus.CANCELING: "canceling",
    JobStatus.CANCELED: "canceled",
    JobStatus.SUCCEEDED: "succeeded",
    JobStatus.FAILED: "failed",
    JobStatus.EXPIRED: "expired",
}
FOR_EVER_S = 100 * 365 * 86_400.0
"""What the contract, which knows no "for ever", is told instead."""
NODE_EXECUTION_ERROR = "node_execution_error"


def error_code(error: JobError) -> str:
    """The contract's one code for what a node did, else our cause in small letters."""
    return NODE_EXECUTION_ERROR if error.node_id is not None else error.code.lower()


def expires_at_s(job: Job, kept: Mapping[JobStatus, float | None], now_s: float) -> float:
    """Until when the job can be asked for. While it has not ended nobody knows: as if it succeeded now.

    ``kept``: seconds after the end by status, None for ever.
    """
    if is_terminal(job.status) and job.finished_at_s is not None:
        return kept_until_s(job.status, job.finished_at_s, kept)
    return kept_until_s(JobStatus.SUCCEEDED, now_s, kept)


def kept_until_s(status: JobStatus, ended_at_s: float, kept: Mapping[JobStatus, float | None]) -> float:
    """Until when a job is kept that ended so at that time."""
    kept_s = kept.get(status)
    return ended_at_s + (FOR_EVER_S if kept_s is None else kept_s)


def queue_ms(job: Job) -> int | None:
    """How long it waited for its first start."""
    return None if job.started_at_s is None else _ms(job.started_at_s - job.created_at_s)


def execution_ms(job: Job) -> int | None:
    """How long its attempts ran; None until one has ended whose length is known."""
    lengths = [length for attempt in job.attempts if (length := _length_s(attempt)) is not None]
    return _ms(sum(lengths)) if lengths else None


def _length_s(attempt: Attempt) -> float | None:
    if attempt.finished_at_s is None or attempt.cause is Cause.PROCESS_DIED:
        return None  # nobody knows when a process died
    return attempt.finished_at_s - attempt.started_at_s - attempt.parked_s


def _ms(seconds: float) -> int:
    return max(round(seconds * 1000), 0)
