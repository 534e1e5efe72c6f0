"""Jobs in the contract's JSON. Pure: what an address looks like from outside is given in a ``Place``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...intake.v2.words import STATUS, error_code, execution_ms, expires_at_s, kept_until_s, queue_ms
from ...intake.views import JobPage, JobView
from ...jobs.asset_ids import output_asset_id
from ...jobs.events import LoggedEvent
from ...jobs.model import Job, JobError, JobStatus, Output, Progress
from ...jobs.times import rfc3339

TRACEBACK_CHARS = 8_000
"""The most that a job shows of a traceback: its end."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a client found us: scheme and host as it wrote them, and the path of the mount it uses (``/api/v2`` ...)."""

    origin: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Keeping:
    """What ``expires_at`` is worked out from: how many seconds after its end a job is kept by status, and the time now."""

    kept: Mapping[JobStatus, float | None]
    now_s: float

    def until(self, job: Job) -> str:
        """The job's ``expires_at``."""
        return rfc3339(expires_at_s(job, self.kept, self.now_s))

    def of_a_job_that_succeeds_now(self) -> str:
        """Until when what it makes can be had."""
        return rfc3339(kept_until_s(JobStatus.SUCCEEDED, self.now_s, self.kept))


def contract_job(view: JobView, place: Place, keeping: Keeping) -> dict[str, Any]:
    """One job with every field of the contract."""
    job, until = view.job, keeping.until(view.job)
    return {
        "id": job.id,
        "status": STATUS[job.status],
        "created_at": rfc3339(job.created_at_s),
        "started_at": _time(job.started_at_s),
        "completed_at": _time(job.finished_at_s),
        "expires_at": until,
        "queue_position": view.position,
        "progress": None if view.progress is None else contract_progress(view.progress),
        "outputs": [contract_output(job.id, output, place, until) for output in job.outputs],
        "error": None if job.error is None else _error(job.error),
        "metrics": {"queue_ms": queue_ms(job), "execution_ms": execution_ms(job)},
        "metadata": job.metadata,
        "urls": _urls(job.id, place),
    }


def contract_page(page: JobPage) -> dict[str, Any]:
    """One page of the list; times under the contract's two pairs of names."""
    body: dict[str, Any] = {"jobs": [_item(job) for job in page.jobs]}
    if page.next_cursor is not None:
        body["next_cursor"] = page.next_cursor
    return body


def contract_output(job_id: str, output: Output, place: Place, until: str) -> dict[str, Any]:
    """One file; ``until``: the job's ``expires_at``."""
    asset_id = output_asset_id(job_id, output)
    return {
        "node_id": output.node_id,
        "name": output.name,
        "type": output.kind,
        "content_type": output.content_type,
        "size_bytes": output.size_bytes or 0,
        "id": asset_id,
        "hash": None,
        "url": f"{place.origin}{place.prefix}/assets/{asset_id}/content",
        "url_expires_at": until,
        "job_id": job_id,
    }


def event_output(job_id: str, event: LoggedEvent, place: Place, keeping: Keeping) -> dict[str, Any]:
    """One file as the event of its making tells it; it is kept as long as a job that succeeds now."""
    facts = event.facts["output"]
    output = Output(
        node_id=facts["node_id"],
        name=facts["name"],
        subfolder=facts["subfolder"],
        folder=facts["folder"],
        kind=facts["type"],
        content_type=facts["content_type"],
        size_bytes=facts["size_bytes"],
    )
    return contract_output(job_id, output, place, keeping.of_a_job_that_succeeds_now())


def event_progress(facts: dict[str, Any]) -> dict[str, Any]:
    """A snapshot as ``jobs.wire`` tells it."""
    return contract_progress(Progress(**facts))


def contract_progress(progress: Progress) -> dict[str, Any]:
    """A snapshot of a running job; ``value`` within 0 and 1."""
    return {
        "value": round(min(max(progress.value, 0.0), 1.0), 4),
        "nodes_done": progress.nodes_done,
        "nodes_total": progress.nodes_total,
        "current_node": progress.current_node,
        "current_node_class": progress.current_node_class,
        "step": _whole(progress.step),
        "steps": _whole(progress.steps),
    }


def _item(job: Job) -> dict[str, Any]:
    created = rfc3339(job.created_at_s)
    changed = rfc3339(max(job.finished_at_s or 0.0, job.started_at_s or 0.0, job.queued_at_s))
    return {
        "id": job.id,
        "status": STATUS[job.status],
        "create_time": created,
        "update_time": changed,
        "created_at": created,
        "updated_at": changed,
        "metadata": job.metadata,
    }


def _urls(job_id: str, place: Place) -> dict[str, str]:
    base = f"{place.prefix}/jobs/{job_id}"
    # Clients poll by this address as it is, so it says that the answer may be held.
    return {"self": f"{base}?wait=1", "events": f"{base}/events", "cancel": f"{base}/cancel"}


def _error(error: JobError) -> dict[str, Any]:
    return {
        "code": error_code(error),
        "message": error.message,
        "node_id": error.node_id,
        "class_type": error.class_type,
        "traceback": None if error.traceback is None else error.traceback[-TRACEBACK_CHARS:],
    }


def _whole(number: float | None) -> int | None:
    return None if number is None else round(number)


def _time(at_s: float | None) -> str | None:
    return None if at_s is None else rfc3339(at_s)
