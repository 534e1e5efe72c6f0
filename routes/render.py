"""Our records as wire JSON (DESIGN 7). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from ..intake.views import BulkReport, DepthView, JobListing, JobView, QueueView, Verdict, Waiting
from ..jobs.asset_ids import output_asset_id
from ..jobs.belonging import is_home
from ..jobs.causes import CAUSES
from ..jobs.instances import instance_of
from ..jobs.model import Attempt, Cause, Job, JobError, JobStatus, Output
from ..jobs.times import rfc3339
from ..jobs.transitions import REOPENABLE, is_terminal
from ..jobs.wire import progress_json

LOG_TAIL_CHARS = 8_000
"""The most that a job shows of the log of a process that died."""

_DEATHS = frozenset({Cause.POISON.value, Cause.PROCESS_DIED.value})


@dataclass(frozen=True, slots=True)
class Address:
    """How a client reached this instance: ``origin`` is the scheme and host. ``here``: the instance's name among several that share the
    queue, None where it stands alone; ``one_folder``: they have one output folder."""

    origin: str
    here: str | None = None
    one_folder: bool = False

    def views(self, job: Job, output: Output) -> bool:
        """Whether ComfyUI's own route gives the file here: it knows the folders of its instance and no others."""
        return is_home(job, self.here) or (self.one_folder and output.folder == "output")


def job_json(view: JobView, address: Address) -> dict[str, Any]:
    """One job. ``address``: how the client reached this instance; output URLs are absolute."""
    job = view.job
    return {
        "id": job.id,
        "status": job.status.value,
        "priority": job.priority,
        "principal": job.principal.name,
        "position": view.position,
        "eta_s": _rounded(view.eta_s),
        "waiting": None if view.waiting is None else _waiting(view.waiting),
        "attempt": job.attempt,
        "attempts": [_attempt(attempt) for attempt in job.attempts],
        "created_at": rfc3339(job.created_at_s),
        "queued_at": rfc3339(job.queued_at_s),
        "started_at": _time(job.started_at_s),
        "finished_at": _time(job.finished_at_s),
        "not_before": _time(job.not_before_s),
        "expires_at": _time(job.expires_at_s),
        "max_attempts": job.max_attempts,
        "models": list(job.models),
        "pool": job.pool,
        "origin": job.origin,
        "instance": instance_of(job.attempts[-1].boot_id) if job.attempts else None,
        "parked_s": round(view.parked_s, 3),
        "progress": None if view.progress is None else progress_json(view.progress),
        "outputs": [output_json(job, output, number, address) for number, output in enumerate(job.outputs)],
        "cause": job.cause.value if job.cause else None,
        "error": None if job.error is None else error_json(job.error),
        "metadata": job.metadata,
        "batch": None if job.slot is None else {"id": job.slot.batch_id, "index": job.slot.index},
        "held": job.held,
        "cached": job.cached,
        "links": _links(job),
    }


def listing_json(listing: JobListing, address: Address) -> dict[str, Any]:
    """One page of jobs."""
    return {"jobs": [job_json(view, address) for view in listing.jobs], "next_cursor": listing.next_cursor}


def queue_json(view: QueueView) -> dict[str, Any]:
    """The queue at a glance."""
    return {
        "waiting": view.waiting,
        "running": view.running,
        "parked": view.parked,
        "eta_s": _rounded(view.work_s),
        "by_priority": {str(priority): _depth(depth) for priority, depth in view.by_priority.items()},
        "by_principal": {name: _depth(depth) for name, depth in view.by_principal.items()},
        "oldest_wait_s": _rounded(view.oldest_wait_s),
        "drain_rate_jobs_per_second": view.drain_rate_jobs_per_s,
        "paused": view.paused,
        "draining": view.draining,
        "held": view.held,
        "delayed": view.delayed,
    }


def bulk_json(report: BulkReport, changed: str) -> dict[str, Any]:
    """What a bulk call did; ``changed`` is the verb's word (``canceled``, ``retried``)."""
    return {
        "matched": report.matched,
        changed: report.changed,
        "unchanged": report.unchanged,
        "refused": report.refused,
        "refused_jobs": [{"id": job.job_id, "code": job.code, "message": job.message} for job in report.refused_jobs],
        "more": report.more,
    }


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """A dry run without faults."""
    return {
        "valid": True,
        "priority": verdict.priority,
        "nodes": verdict.nodes,
        "outputs": list(verdict.outputs),
        "estimated_s": round(verdict.estimated_s, 3),
        "errors": [],
    }


def _waiting(waiting: Waiting) -> dict[str, Any]:
    ahead = waiting.ahead
    return {
        "reason": waiting.reason.value,
        "message": waiting.message,
        "position": waiting.position,
        "ahead": None
        if ahead is None
        else {
            "by_priority": {str(level): jobs for level, jobs in sorted(ahead.waiting.items(), reverse=True)},
            "own": ahead.own,
            "running": ahead.running,
            "work_s": round(ahead.work_s, 3),
        },
        "eta_s": _rounded(waiting.eta_s),
        "eta_basis": waiting.eta_basis.value if waiting.eta_basis else None,
        "until": _time(waiting.until_s),
        "expires_at": _time(waiting.expires_at_s),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _time(at_s: float | None) -> str | None:
    return None if at_s is None else rfc3339(at_s)


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "started_at": rfc3339(attempt.started_at_s),
        "finished_at": _time(attempt.finished_at_s),
        "duration_s": _duration_s(attempt),
        "outcome": attempt.outcome.value if attempt.outcome else None,
        "cause": attempt.cause.value if attempt.cause else None,
        "message": attempt.message,
        "last_node_id": attempt.last_node_id,
        "instance": attempt.boot_id,
    }


def _duration_s(attempt: Attempt) -> float | None:
    # An attempt whose process died was closed by the next start, and nobody knows how long it ran.
    if attempt.finished_at_s is None or attempt.cause is Cause.PROCESS_DIED:
        return None
    return round(attempt.finished_at_s - attempt.started_at_s - attempt.parked_s, 3)


def output_json(job: Job, output: Output, number: int, address: Address) -> dict[str, Any]:
    """One output of a job; ``number`` counts them from 0."""
    parts = {"filename": output.name, "subfolder": output.subfolder, "type": output.folder}
    query = urlencode(parts, errors="surrogatepass")  # nodes may name files by text that no UTF-8 can hold
    return {
        "id": output_asset_id(job.id, output),
        "job_id": job.id,
        "node_id": output.node_id,
        "name": output.name,
        "type": output.kind,
        "content_type": output.content_type,
        "size_bytes": output.size_bytes,
        "hash": None,
        "url": f"{address.origin}/expeditor/jobs/{job.id}/outputs/{number}",
        "url_expires_at": None,
        "view_url": f"{address.origin}/view?{query}" if address.views(job, output) else None,
        "cached": output.cached,
    }


def error_json(error: JobError) -> dict[str, Any]:
    """Why a job failed."""
    # The node's traceback stays in the log: it names files of the server. What a dead process said last is all that an
    # operator has to go by, and is shown, bounded.
    died = error.code in _DEATHS and error.traceback
    return {
        "code": error.code,
        "message": error.message,
        "remedy": _remedy(error.code),
        "node_id": error.node_id,
        "class_type": error.class_type,
        "exception_type": error.exception_type,
        "log_tail": (error.traceback or "")[-LOG_TAIL_CHARS:] if died else None,
    }


def _remedy(code: str) -> str | None:
    """What a person can do about a cause; None for a code that is none."""
    row = CAUSES.get(Cause(code)) if code in Cause.__members__ else None
    return row.remedy if row else None


def _depth(depth: DepthView) -> dict[str, Any]:
    return {"jobs": depth.jobs, "work_s": round(depth.work_s, 3)}


def _links(job: Job) -> dict[str, str]:
    """The job, and what can be done with it as it stands."""
    base = f"/expeditor/jobs/{job.id}"
    links = {"self": base}
    actions: list[str] = []
    if not is_terminal(job.status):
        actions.append("cancel")
    if job.status is JobStatus.QUEUED:
        actions += ["priority", "release" if job.held else "hold"]
    if job.status in REOPENABLE:
        actions.append("retry")
    return {**links, **{action: f"{base}/{action}" for action in actions}}
