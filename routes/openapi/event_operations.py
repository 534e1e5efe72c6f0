"""The routes that stream events. Pure data."""

from __future__ import annotations

from ...jobs.events import EVENT_TYPES, PASSING_TYPES
from .job_operations import JOB_ID
from .parts import TEXT, Answer, Operation, Parameter, Schema, in_query

EVENTS = "Events"
STREAM: dict[str, Schema] = {"text/event-stream": {"type": "string"}}
FOLLOWING = (
    in_query("after", TEXT, "Begin behind this event: an `id` of an earlier stream."),
    in_query("types", TEXT, f"Only these, with commas: {', '.join(sorted(EVENT_TYPES | PASSING_TYPES))}."),
    Parameter("Last-Event-ID", "header", TEXT, "As `after`, and before it; a browser sends it by itself."),
)
CODES = ("INPUT_INVALID", "RATE_LIMITED")

SCHEMAS: dict[str, Schema] = {}
OPERATIONS = (
    Operation(
        "GET",
        "/expeditor/jobs/{job_id}/events",
        "jobEvents",
        EVENTS,
        "One job's events as they come, from its first to its last.",
        {
            200: Answer("Server-sent events; [what they say](events.md).", STREAM),
            204: Answer("The job has ended and you have all of its events: do not come back."),
        },
        codes=("NOT_FOUND", "GONE", *CODES),
        parameters=(JOB_ID, *FOLLOWING),
    ),
    Operation(
        "GET",
        "/expeditor/events",
        "allEvents",
        EVENTS,
        "The events of many jobs, from now on or from where you were.",
        {200: Answer("Server-sent events; [what they say](events.md).", STREAM)},
        codes=CODES,
        parameters=(
            in_query("principal", TEXT, "Of this principal's jobs."),
            in_query("batch", TEXT, "Of this batch's jobs."),
            *FOLLOWING,
        ),
    ),
)
