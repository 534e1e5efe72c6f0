"""Webhooks as JSON: the message itself, and deliveries as ``/expeditor/deliveries`` tells them. Pure.

Never rendered: secrets, and of a target's URL more than its host, because the rest may hold one.
"""

from __future__ import annotations

import json
from typing import Any

from ..intake.deliveries import DeliveryPage, DeliveryTold
from ..intake.views import JobView
from ..jobs.deliveries import Delivery, DeliveryAttempt
from ..jobs.events import LoggedEvent
from ..jobs.model import Job, JsonObject
from ..jobs.times import rfc3339
from ..jobs.wire import event_json
from .render import Address, job_json

BODY_BYTES_MAX = 262_144
"""A message is at most so long; it then has fewer outputs than the job, and says so."""


def webhook_body(event: LoggedEvent, job: Job, origin: str) -> str:
    """The message of one event: ``{"type", "timestamp", "data": {"event", "job"}}`` in ASCII JSON.

    ``data.event`` is as the streams tell it, ``data.job`` is the job as it stood when the message was made; ``origin`` stands
    before the paths of its outputs.
    """
    told = job_json(JobView(job=job), Address(origin))
    data: JsonObject = {"event": event_json(event), "job": told}
    message = {"type": event.type, "timestamp": rfc3339(event.at_s), "data": data}
    text = _dumped(message)
    if len(text) <= BODY_BYTES_MAX:
        return text
    data["truncated"] = True
    outputs: list[Any] = told["outputs"]
    while len(text) > BODY_BYTES_MAX and (outputs or told["attempts"]):
        outputs = outputs[: len(outputs) // 2]
        told.update(outputs=outputs, attempts=[])
        text = _dumped(message)
    return text


def delivery_page_json(page: DeliveryPage) -> JsonObject:
    """One page, newest first."""
    return {
        "deliveries": [delivery_json(delivery) for delivery in page.deliveries],
        "next_cursor": None if page.before is None else str(page.before),
    }


def delivery_told_json(told: DeliveryTold) -> JsonObject:
    """One delivery with its tries and what it says."""
    return {
        **delivery_json(told.delivery),
        "attempts": [_attempt_json(attempt) for attempt in told.attempts],
        "payload": json.loads(told.delivery.message.body),
    }


def delivery_json(delivery: Delivery) -> JsonObject:
    """One delivery."""
    message = delivery.message
    return {
        "id": message.id,
        "job_id": message.job_id,
        "event": message.event_type,
        "event_number": message.event_number,
        "target": message.origin.value,
        "host": message.place,
        "status": delivery.status.value,
        "created_at": rfc3339(delivery.created_at_s),
        "attempt_count": delivery.attempts,
        "next_try_at": _time(delivery.next_try_at_s),
        "finished_at": _time(delivery.finished_at_s),
        "last_status_code": delivery.last_code,
        "last_error": delivery.last_error,
        "links": {
            "self": f"/expeditor/deliveries/{message.id}",
            "replay": f"/expeditor/deliveries/{message.id}/replay",
            "job": f"/expeditor/jobs/{message.job_id}",
        },
    }


def _attempt_json(attempt: DeliveryAttempt) -> JsonObject:
    return {
        "number": attempt.number,
        "at": rfc3339(attempt.at_s),
        "duration_s": round(attempt.duration_s, 3),
        "status_code": attempt.code,
        "error": attempt.error,
    }


def _time(at_s: float | None) -> str | None:
    return None if at_s is None else rfc3339(at_s)


def _dumped(message: JsonObject) -> str:
    return json.dumps(message, ensure_ascii=True, separators=(",", ":"), default=str)
