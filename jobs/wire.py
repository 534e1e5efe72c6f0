"""How what happens to jobs is written for clients: the same JSON on every way, streams, sockets and webhooks. Pure."""

from __future__ import annotations

from .cursors import cursor_of
from .events import LoggedEvent
from .model import JsonObject, Progress
from .times import rfc3339


def event_json(event: LoggedEvent) -> JsonObject:
    """An event that is kept: ``type``, ``job_id``, ``number``, ``at`` (RFC 3339, ``Z``), ``cursor``, ``batch_id`` and its facts."""
    return {
        "type": event.type,
        "job_id": event.job_id,
        "number": event.number,
        "at": rfc3339(event.at_s),
        "cursor": cursor_of(event.position),
        "batch_id": event.batch_id,
        **event.facts,
    }


def passing_json(kind: str, job_id: str, at_s: float, facts: JsonObject) -> JsonObject:
    """What is told and not kept: as ``event_json``, without a number and a cursor."""
    return {"type": kind, "job_id": job_id, "at": rfc3339(at_s), **facts}


def progress_json(progress: Progress) -> JsonObject:
    """A snapshot of a running job."""
    return {
        "value": round(progress.value, 4),
        "nodes_done": progress.nodes_done,
        "nodes_total": progress.nodes_total,
        "current_node": progress.current_node,
        "current_node_class": progress.current_node_class,
        "step": progress.step,
        "steps": progress.steps,
    }
