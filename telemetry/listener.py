"""Committed job events as metrics and log lines: the ``Publisher`` for those who watch the server.

Owns which event means which number and which line. Not owned: the numbers (``metrics``), the format of the lines
(``logs``), and who else hears events (``events``).
"""

from __future__ import annotations

import logging
from typing import Any

from ..jobs.events import JobEvent
from ..jobs.model import Attempt, Cause, Job, JobStatus
from ..jobs.transitions import is_terminal
from .metrics import Metrics

_log = logging.getLogger("expeditor.jobs")
LONGEST_TRACEBACK = 16_000

_LEVELS = {
    "job.output": logging.DEBUG,
    "job.canceling": logging.DEBUG,
    "job.retrying": logging.WARNING,
    "job.failed": logging.WARNING,
    "job.expired": logging.WARNING,
}


class TelemetryListener:
    """A ``jobs.events.Publisher``. Counts and logs each event; never raises, does no I/O but the log's own."""

    def __init__(self, metrics: Metrics) -> None:
        """Count into ``metrics``."""
        self._metrics = metrics

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """Count and log ``events`` in their order."""
        for event in events:
            try:
                self._metrics.events_published(event.type)
                self._count(event)
                _tell(event)
            except Exception:  # noqa: BLE001 - called on the store's thread: telemetry must not hurt the queue
                _log.warning("event %s of job %s could not be counted", event.type, event.job.id, exc_info=True)

    def _count(self, event: JobEvent) -> None:
        job, at_s = event.job, event.at_s
        if event.type == "job.queued":
            if job.queued_at_s < at_s:  # it was claimed where it cannot run, and waits on
                self._metrics.worker_freed(job.id, at_s)
            elif not job.attempts:
                self._metrics.job_submitted(job.priority, job.source)
        elif event.type == "job.started":
            self._metrics.worker_busy(job.id, at_s)
            wait_s = _wait_s(event)
            if wait_s is not None:
                self._metrics.queue_wait(job.priority, wait_s)
        elif event.type in {"job.waiting", "job.retrying"} or _is_end(event):
            self._metrics.worker_freed(job.id, at_s)
            self._count_attempt(event)
            if _is_end(event):
                self._count_end(event)

    def _count_attempt(self, event: JobEvent) -> None:
        attempt = _closed_attempt(event)
        if attempt is not None:
            self._metrics.attempt_ended(attempt.cause, _run_s(attempt))

    def _count_end(self, event: JobEvent) -> None:
        job = event.job
        ran = job.status in {JobStatus.SUCCEEDED, JobStatus.FAILED} and bool(job.attempts)
        self._metrics.job_finished(job.status, event.cause, event.at_s - job.created_at_s if ran else None)
        if job.attempts:
            self._metrics.job_drained(event.at_s)


class EndsElsewhere:
    """Fits ``jobs.events.Publisher``: counts the ends of what other instances ran, for the pace of the queue that all share."""

    def __init__(self, metrics: Metrics) -> None:
        """``metrics`` count them."""
        self._metrics = metrics

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """See ``Publisher``: what others committed."""
        for event in events:
            if _is_end(event) and event.job.attempts:
                self._metrics.job_drained_elsewhere(event.at_s)


def _is_end(event: JobEvent) -> bool:
    return is_terminal(event.job.status) and event.type == f"job.{event.job.status.value}"


def _closed_attempt(event: JobEvent) -> Attempt | None:
    """The attempt that this very event closed, if it did."""
    last = event.job.attempts[-1] if event.job.attempts else None
    return last if last is not None and last.finished_at_s == event.at_s else None


def _run_s(attempt: Attempt) -> float | None:
    """An attempt's seconds; None for one whose process died: its end is the time of the recovery, not of the run."""
    if attempt.finished_at_s is None or attempt.cause is Cause.PROCESS_DIED:
        return None
    return attempt.finished_at_s - attempt.started_at_s - attempt.parked_s


def _wait_s(event: JobEvent) -> float | None:
    """The wait before an attempt that this event opened; None when a parked job merely goes on."""
    job = event.job
    opened = bool(job.attempts) and job.attempts[-1].started_at_s == event.at_s
    return event.at_s - job.queued_at_s if opened else None


def _tell(event: JobEvent) -> None:
    level = _LEVELS.get(event.type, logging.INFO)
    if _log.isEnabledFor(level):
        _log.log(level, "%s %s", event.type, event.job.id, extra=_facts(event))


def _facts(event: JobEvent) -> dict[str, Any]:
    """The fields of the event's log line; those that are None are left out by the formatter."""
    job = event.job
    facts: dict[str, Any] = {"event": event.type, "job_id": job.id, "prompt_id": job.id, "attempt": job.attempt or None}
    facts |= {"client_id": job.client_id, "principal": job.principal.name, "priority": job.priority}
    if event.type == "job.queued":
        facts |= {"nodes": job.node_count, "prompt_length": job.prompt_length}
    elif event.type == "job.started":
        facts |= {"wait_s": _rounded(_wait_s(event))}
    elif event.produced is not None:
        facts |= {"node_id": event.produced.node_id}
    elif event.type == "job.retrying" or _is_end(event):
        facts |= _facts_of_end(event, job)
    if event.type == "job.retrying":
        facts |= {"delay_s": _rounded(max(0.0, (job.not_before_s or event.at_s) - event.at_s))}
    return facts


def _facts_of_end(event: JobEvent, job: Job) -> dict[str, Any]:
    attempt, error = _closed_attempt(event), job.error
    facts: dict[str, Any] = {
        "cause": event.cause.value if event.cause else None,
        "duration_s": _rounded(_run_s(attempt)) if attempt else None,
        "node_id": attempt.last_node_id if attempt else None,
    }
    if error is not None:
        text = error.traceback or ": ".join(part for part in (error.exception_type, error.message) if part)
        facts |= {"node_id": error.node_id or facts["node_id"], "class_type": error.class_type, "code": error.code}
        facts |= {"traceback": text[-LONGEST_TRACEBACK:]}
    return facts


def _rounded(duration_s: float | None) -> float | None:
    return None if duration_s is None else round(duration_s, 6)
