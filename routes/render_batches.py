"""Batches as wire JSON. Pure."""

from __future__ import annotations

from typing import Any

from ..intake.batch_entries import RefusedItem
from ..intake.batch_preview import BatchPreview
from ..intake.batch_views import BatchResults, BatchView, ItemResult, index_of
from ..intake.batches import BatchSubmitted
from ..jobs.model import Job, JobStatus
from ..jobs.times import rfc3339
from ..jobs.transitions import TERMINAL
from .errors import fault_json
from .render import Address, error_json, output_json

PRUNED = "pruned"
"""The status of a job that ended and was removed since."""


def batch_json(view: BatchView) -> dict[str, Any]:
    """One batch: how its jobs stand."""
    batch, about = view.batch, view.about
    statuses = {status.value: batch.statuses.get(status, 0) for status in JobStatus}
    pruned = batch.count - sum(batch.statuses.values())
    ended = pruned + sum(batch.statuses.get(status, 0) for status in TERMINAL)
    return {
        "id": batch.id,
        "status": _status(view, ended),
        "principal": batch.principal,
        "created_at": rfc3339(batch.created_at_s),
        "count": batch.count,
        "ended": ended,
        "progress": {**statuses, PRUNED: pruned},
        "eta_s": None if view.eta_s is None else round(view.eta_s, 3),
        "inputs": list(about.inputs),
        "metadata": about.metadata or {},
        "failed": [_failed(job) for job in view.failed],
        "refused": [_refused(item) for item in about.refused],
        "links": _links(view, ended),
    }


def submitted_json(submitted: BatchSubmitted) -> dict[str, Any]:
    """An accepted batch, with the ids of its jobs by their place."""
    return {**batch_json(submitted.view), "job_ids": list(submitted.job_ids)}


def preview_json(preview: BatchPreview) -> dict[str, Any]:
    """What a batch would be."""
    starts_in_s, ends_in_s = preview.starts_in_s, preview.ends_in_s
    return {
        "valid": not preview.faulty,
        "count": preview.count,
        "faulty": preview.faulty,
        "inputs": list(preview.inputs),
        "estimated_s": round(preview.work_s, 3),
        "starts_in_s": None if starts_in_s is None else round(starts_in_s, 3),
        "eta_s": None if ends_in_s is None else round(ends_in_s, 3),
        "room": preview.no_room is None,
        "no_room": preview.no_room,
        "errors": [fault_json(fault) for fault in preview.faults],
    }


def results_json(results: BatchResults, address: Address) -> dict[str, Any]:
    """The manifest. ``address``: how the client reached this instance."""
    batch = results.batch
    return {
        "id": batch.id,
        "created_at": rfc3339(batch.created_at_s),
        "count": batch.count,
        "metadata": results.about.metadata or {},
        "items": [_item(item, address) for item in results.items],
        "refused": [_refused(item) for item in results.about.refused],
    }


def _item(item: ItemResult, address: Address) -> dict[str, Any]:
    job = item.job
    if job is None:
        gone: dict[str, Any] = {"job_id": None, "status": PRUNED, "values": item.values, "metadata": {}, "outputs": []}
        return {"index": item.index, **gone, "finished_at": None, "cause": None, "error": None}
    return {
        "index": item.index,
        "job_id": job.id,
        "status": job.status.value,
        "values": item.values,
        "metadata": job.metadata,
        "outputs": [output_json(job, output, number, address) for number, output in enumerate(job.outputs)],
        "finished_at": None if job.finished_at_s is None else rfc3339(job.finished_at_s),
        "cause": job.cause.value if job.cause else None,
        "error": None if job.error is None else error_json(job.error),
    }


def _status(view: BatchView, ended: int) -> str:
    if ended == view.batch.count:
        return "ended"
    waiting = view.batch.statuses.get(JobStatus.QUEUED, 0)
    return "queued" if waiting == view.batch.count else "running"


def _failed(job: Job) -> dict[str, Any]:
    error = job.error
    return {
        "index": index_of(job),
        "job_id": job.id,
        "code": error.code if error else (job.cause.value if job.cause else None),
        "message": error.message if error else None,
    }


def _refused(item: RefusedItem) -> dict[str, Any]:
    fault = item.fault
    return {"index": item.index, "code": fault.code, "message": fault.message, "pointer": fault.pointer}


def _links(view: BatchView, ended: int) -> dict[str, str]:
    batch = view.batch
    base = f"/expeditor/batches/{batch.id}"
    links = {
        "self": base,
        "jobs": f"/expeditor/jobs?batch={batch.id}",
        "results": f"{base}/results",
        "zip": f"{base}/results.zip",
    }
    if ended < batch.count:
        links["cancel"] = f"{base}/cancel"
    if batch.statuses.get(JobStatus.FAILED):
        links["retry"] = f"{base}/retry"
    return links
