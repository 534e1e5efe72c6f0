"""The routes of the webhooks' outbox. Pure data."""

from __future__ import annotations

from ...intake.deliveries import DELIVERY_PAGE_MAX
from ...jobs.deliveries import DeliveryStatus, TargetOrigin
from ...jobs.events import EVENT_TYPES
from .job_operations import READ_FAULTS, TOO_LARGE
from .parts import (
    ANY_OBJECT,
    COUNT,
    SECONDS,
    TEXT,
    TIME,
    WHOLE,
    Body,
    Operation,
    Schema,
    asked,
    in_path,
    in_query,
    json_answer,
    listed,
    nullable,
    ref,
    told,
    whole,
    words,
)

TAG = "Webhooks"
STATUSES = [status.value for status in DeliveryStatus]
DELIVERY_ID = in_path("delivery_id", "The delivery's id, which is the message's `webhook-id`.")
_FIELDS: dict[str, Schema] = {
    "id": told(TEXT, "The message's `webhook-id`."),
    "job_id": TEXT,
    "event": words(EVENT_TYPES),
    "event_number": told(COUNT, "The event's number among the job's."),
    "target": told(words([origin.value for origin in TargetOrigin]), "Who named the target."),
    "host": told(TEXT, "Host and port; the rest of the URL may hold a secret."),
    "status": words(STATUSES),
    "created_at": TIME,
    "attempt_count": COUNT,
    "next_try_at": told(nullable(TIME), "null when it is over, or waits for an earlier message of its job."),
    "finished_at": nullable(TIME),
    "last_status_code": nullable(WHOLE),
    "last_error": nullable(TEXT),
    "links": whole({"self": TEXT, "replay": TEXT, "job": TEXT}),
}
_FILTER: dict[str, Schema] = {
    "job_id": TEXT,
    "event": words(EVENT_TYPES),
    "host": told(TEXT, "With or without its port."),
}

SCHEMAS: dict[str, Schema] = {
    "Delivery": whole(_FIELDS),
    "DeliveryAttempt": whole(
        {
            "number": COUNT,
            "at": TIME,
            "duration_s": SECONDS,
            "status_code": told(nullable(WHOLE), "null: no answer came."),
            "error": told(nullable(TEXT), "Why it did not succeed."),
        }
    ),
    "DeliveryInFull": whole(
        {
            **_FIELDS,
            "attempts": told(listed(ref("DeliveryAttempt")), "The newest 50, oldest first."),
            "payload": told(ANY_OBJECT, "The message."),
        }
    ),
    "Deliveries": whole({"deliveries": listed(ref("Delivery")), "next_cursor": nullable(TEXT)}),
    "Replayed": whole({"replayed": COUNT}),
}

OPERATIONS = (
    Operation(
        "GET",
        "/expeditor/deliveries",
        "listDeliveries",
        TAG,
        "Webhooks that were, are and will be sent, newest first.",
        {200: json_answer(ref("Deliveries"), "One page.")},
        codes=("INPUT_INVALID",),
        parameters=(
            in_query("status", words(STATUSES), "Deliveries in this state."),
            *(in_query(name, schema, f"Deliveries of this {name}.") for name, schema in _FILTER.items()),
            in_query(
                "limit", {"type": "integer", "minimum": 1, "maximum": DELIVERY_PAGE_MAX, "default": 50}, "How many."
            ),
            in_query("cursor", TEXT, "`next_cursor` of the page before."),
        ),
    ),
    Operation(
        "POST",
        "/expeditor/deliveries/replay",
        "replayDeliveries",
        TAG,
        "Send again all that a filter picks; failed ones unless it says `delivered`.",
        {200: json_answer(ref("Replayed"), "How many.")},
        codes=(*READ_FAULTS, "LIMIT_EXCEEDED"),
        also=TOO_LARGE,
        body=Body({"application/json": asked({"status": words(["delivered", "failed"]), **_FILTER})}, required=False),
    ),
    Operation(
        "GET",
        "/expeditor/deliveries/{delivery_id}",
        "getDelivery",
        TAG,
        "One webhook with its tries.",
        {200: json_answer(ref("DeliveryInFull"), "The delivery.")},
        codes=("NOT_FOUND",),
        parameters=(DELIVERY_ID,),
    ),
    Operation(
        "POST",
        "/expeditor/deliveries/{delivery_id}/replay",
        "replayDelivery",
        TAG,
        "Send it again, whether it arrived or not.",
        {200: json_answer(ref("Delivery"), "The delivery, pending.")},
        codes=("NOT_FOUND",),
        parameters=(DELIVERY_ID,),
    ),
)
