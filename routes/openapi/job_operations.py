"""The routes of jobs: submit and validate, schemas of prompts, one job, many jobs. Pure data."""

from __future__ import annotations

from ...intake.request_keys import MAX_LENGTH
from ...intake.times import ATTEMPTS_MAX, EXPIRES_MAX_S
from ...intake.views import PAGE_LIMIT_MAX
from ...jobs.events import EVENT_TYPES
from ...jobs.metadata import MAX_METADATA_LENGTH, MAX_METADATA_PAIRS
from ...jobs.model import Cause, JobStatus
from ...jobs.webhook_rules import LONGEST_URL
from ..selection import MOST_IDS
from .job_schemas import PRIORITY
from .parts import (
    ANY_OBJECT,
    COUNT,
    FLAG,
    NUMBER,
    SECONDS,
    TEXT,
    TIME,
    UUID,
    WHOLE,
    Answer,
    Body,
    Operation,
    Parameter,
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

JOBS, PROMPTS = "Jobs", "Prompts"
JOB_ID = in_path("job_id", "The job's id.")
WAIT = in_query(
    "wait_s", SECONDS, "Hold the answer until the job has ended, so many seconds at most (setting `max_wait_s`)."
)
KEY = Parameter(
    "Idempotency-Key",
    "header",
    {"type": "string", "pattern": "^[\\x21-\\x7e]+$", "minLength": 1, "maxLength": MAX_LENGTH},
    "The same key with the same body gets the job of the first request.",
)
LOCATION = {"Location": told(TEXT, "The job's address.")}
REPLAYED = {"Idempotent-Replayed": told({"type": "string", "enum": ["true"]}, "The request is a repeat.")}
LATER = {"Retry-After": told(WHOLE, "Seconds after which to ask again.")}
READ_FAULTS = ("INVALID_JSON", "INPUT_INVALID")
PROMPT_FAULTS = (
    *("INVALID_PROMPT", "INVALID_PROMPT_ID", "UNKNOWN_NODE", "NODE_NOT_ALLOWED", "LINK_INVALID", "CYCLE", "NO_OUTPUT"),
    *("LIMIT_EXCEEDED", "PRIORITY_NOT_ALLOWED"),
)
TOO_LARGE = {413: ("LIMIT_EXCEEDED",)}
URL: Schema = {"type": "string", "pattern": "^https?://", "maxLength": LONGEST_URL}
STATUSES = [status.value for status in JobStatus]
CAUSES = [cause.value for cause in Cause]

SUBMISSION: dict[str, Schema] = {
    "prompt": told(ANY_OBJECT, "A workflow in API format: node id to `{class_type, inputs}`."),
    "priority": told(nullable(PRIORITY), "10 is most urgent; default 3."),
    "_priority": told(nullable(PRIORITY), "The same, as stock `/prompt` takes it."),
    "prompt_id": told(nullable(UUID), "Your own id for the job."),
    "client_id": told(nullable(TEXT), "The socket that hears of the job, and the principal it counts for."),
    "extra_data": told(nullable(ANY_OBJECT), "As ComfyUI's `/prompt` takes it."),
    "metadata": told(
        nullable(
            {
                "type": "object",
                "maxProperties": MAX_METADATA_PAIRS,
                "propertyNames": {"maxLength": MAX_METADATA_LENGTH},
                "additionalProperties": {"type": "string", "maxLength": MAX_METADATA_LENGTH},
            }
        ),
        "Given back with the job.",
    ),
    "front": told(FLAG, "Before everything that waits."),
    "number": told(nullable(NUMBER), "ComfyUI's: breaks ties; a negative one means `front`."),
    "not_before": told({"anyOf": [TIME, SECONDS, {"type": "null"}]}, "Not started earlier; a number counts from 1970."),
    "expires_in_s": told(
        nullable({"type": "number", "exclusiveMinimum": 0, "maximum": EXPIRES_MAX_S}), "Longest wait; then it expires."
    ),
    "max_attempts": told(nullable({"type": "integer", "minimum": 1, "maximum": ATTEMPTS_MAX}), "Most tries."),
    "pool": told(
        nullable({"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,31}$"}),
        "Which instances may run it; default `default`.",
    ),
    "partial_execution_targets": told(nullable(listed(TEXT)), "The output nodes to run."),
    "webhook": told(
        {
            "anyOf": [
                URL,
                asked({"url": URL, "events": nullable(listed(words(EVENT_TYPES)))}, ["url"]),
                {"type": "null"},
            ]
        },
        "Whom to tell of its end, or of these events.",
    ),
}
"""The fields of a submit; tests hold them to ``intake.submission.FIELDS``."""
FILES: dict[str, Schema] = {
    "files": told(
        listed({"type": "string", "contentMediaType": "application/octet-stream"}),
        "Input files that the prompt names by their file names. A part `file:<node id>.<input>` is the value of that input.",
    )
}
SUBMIT_BODY = Body(
    {
        "application/json": ref("Submission"),
        "multipart/form-data": {
            "type": "object",
            "required": ["prompt"],
            "properties": {**SUBMISSION, **FILES},
            "description": "The same fields as parts, those that are no texts as JSON; with input files.",
        },
    }
)
VALIDATE_BODY = Body({"application/json": ref("Submission")})
SELECTION: dict[str, Schema] = {
    "status": told(nullable({"anyOf": [listed(words(STATUSES)), TEXT]}), "Jobs in these states; as text with commas."),
    "cause": told(nullable({"anyOf": [listed(words(CAUSES)), TEXT]}), "Jobs that ended so; as text with commas."),
    "principal": nullable(TEXT),
    "priority": nullable(PRIORITY),
    "held": nullable(FLAG),
    "ids": told(nullable({"anyOf": [{"type": "array", "items": TEXT, "maxItems": MOST_IDS}, TEXT]}), "These jobs."),
    "all": told(nullable(FLAG), "Every job; instead of a filter."),
}
BULK_BODY = Body({"application/json": asked(SELECTION)}, required=False)
SCHEMA_TEXT = {"application/schema+json": ANY_OBJECT}


def _bulk(verb: str) -> Schema:
    return whole(
        {
            "matched": COUNT,
            verb: COUNT,
            "unchanged": told(COUNT, "They were so already."),
            "refused": COUNT,
            "refused_jobs": told(listed(ref("RefusedJob")), "The first hundred of them."),
            "more": told(FLAG, "There may be others; call again."),
        }
    )


SCHEMAS: dict[str, Schema] = {
    "Submission": asked(SUBMISSION, ["prompt"]),
    "Verdict": whole(
        {
            "valid": told(
                {"type": "boolean", "enum": [True]}, "A prompt with a fault is answered as submit answers it."
            ),
            "priority": PRIORITY,
            "nodes": COUNT,
            "outputs": told(listed(TEXT), "The output nodes that would run."),
            "estimated_s": SECONDS,
            "errors": {"type": "array", "maxItems": 0},
        }
    ),
    "RefusedJob": whole({"id": TEXT, "code": TEXT, "message": TEXT}),
    "Retried": _bulk("retried"),
    "Canceled": _bulk("canceled"),
}
JOB = json_answer(ref("Job"), "The job.")
ENDED = json_answer(ref("Job"), "The job, ended.", LOCATION)
NOT_YET = json_answer(ref("Job"), "The time is up: the job as it stands.", {**LOCATION, **LATER})


def _verb(verb: str, summary: str, *codes: str, body: Body | None = None) -> Operation:
    return Operation(
        "POST",
        f"/expeditor/jobs/{{job_id}}/{verb}",
        f"{verb}Job",
        JOBS,
        summary,
        {200: JOB},
        codes=("NOT_FOUND", "GONE", *codes),
        also=TOO_LARGE if body else {},
        parameters=(JOB_ID,),
        body=body,
    )


OPERATIONS = (
    Operation(
        "POST",
        "/expeditor/submit",
        "submit",
        PROMPTS,
        "Check a prompt and put it in the queue; with wait_s, wait for its end.",
        {
            201: json_answer(ref("Job"), "The job is on disk and will run.", LOCATION),
            200: json_answer(
                ref("Job"), "A repeat: the job as it stands; with wait_s: the job, ended.", {**LOCATION, **REPLAYED}
            ),
            202: json_answer(
                ref("Job"), "With wait_s: the time is up; the job as it stands.", {**LOCATION, **LATER, **REPLAYED}
            ),
        },
        codes=(*READ_FAULTS, *PROMPT_FAULTS, "CONFLICT", "GONE", "QUEUE_FULL", "DRAINING"),
        also={**TOO_LARGE, 400: ("INPUT_INVALID",)},
        parameters=(WAIT, KEY),
        body=SUBMIT_BODY,
    ),
    Operation(
        "POST",
        "/expeditor/validate",
        "validate",
        PROMPTS,
        "The checks of submit; nothing is queued.",
        {200: json_answer(ref("Verdict"), "A good prompt.")},
        codes=(*READ_FAULTS, *PROMPT_FAULTS),
        also={**TOO_LARGE, 400: ("INPUT_INVALID",)},
        body=VALIDATE_BODY,
    ),
    Operation(
        "GET",
        "/expeditor/schema",
        "promptSchema",
        PROMPTS,
        "JSON Schema of prompts on this server.",
        {200: Answer("Draft 2020-12.", SCHEMA_TEXT)},
        reads=False,
    ),
    Operation(
        "GET",
        "/expeditor/schema/{class_type}",
        "nodeSchema",
        PROMPTS,
        "JSON Schema of one node class.",
        {200: Answer("Draft 2020-12.", SCHEMA_TEXT)},
        codes=("NOT_FOUND",),
        parameters=(in_path("class_type", "The node class."),),
        reads=False,
    ),
    Operation(
        "GET",
        "/expeditor/jobs",
        "listJobs",
        JOBS,
        "Jobs, newest first.",
        {200: json_answer(ref("JobList"), "One page.")},
        codes=("INPUT_INVALID",),
        parameters=(
            in_query("status", TEXT, f"One or several with commas: {', '.join(STATUSES)}."),
            in_query("principal", TEXT, "Whose jobs."),
            in_query("cause", TEXT, "Why they did not succeed; one or several with commas."),
            in_query("held", words(["true", "false"]), "Whether somebody holds them back."),
            in_query("batch", TEXT, "The batch that they belong to."),
            in_query(
                "metadata.{key}", TEXT, "Jobs whose metadata has this value under this key; several: all must hold."
            ),
            in_query("limit", {"type": "integer", "minimum": 1, "maximum": PAGE_LIMIT_MAX}, "Default 50."),
            in_query("cursor", TEXT, "`next_cursor` of the page before."),
        ),
    ),
    Operation(
        "GET",
        "/expeditor/jobs/{job_id}",
        "getJob",
        JOBS,
        "One job, and why it waits; with wait_s, wait for its end.",
        {200: JOB, 202: NOT_YET},
        codes=("NOT_FOUND", "GONE", "INPUT_INVALID"),
        parameters=(JOB_ID, WAIT),
    ),
    Operation(
        "GET",
        "/expeditor/jobs/{job_id}/outputs/{number}",
        "getOutput",
        JOBS,
        "The bytes of what it made, whole or in part.",
        {
            200: Answer("The file.", {"*/*": {}}, {"ETag": TEXT, "Content-Disposition": TEXT}),
            206: Answer("The part of it that Range asked for.", {"*/*": {}}, {"Content-Range": TEXT}),
            304: Answer("If-None-Match has its ETag."),
            416: Answer("There is no such part.", {}, {"Content-Range": TEXT}),
        },
        codes=("NOT_FOUND", "GONE"),
        parameters=(
            JOB_ID,
            in_path("number", "Which of the job's `outputs`, from 0."),
            Parameter("Range", "header", TEXT, "A part: `bytes=0-99`."),
            Parameter("If-None-Match", "header", TEXT, "The ETag of what you have."),
        ),
    ),
    _verb("cancel", "Cancel it, whether it waits or runs; idempotent."),
    _verb(
        "priority",
        "Give a waiting job another place.",
        *READ_FAULTS,
        "LIMIT_EXCEEDED",
        "PRIORITY_NOT_ALLOWED",
        "CONFLICT",
        body=Body(
            {
                "application/json": asked(
                    {
                        "priority": told(PRIORITY, "10 is most urgent."),
                        "_priority": PRIORITY,
                        "front": told({"type": "boolean", "enum": [True]}, "Before all others; instead of a priority."),
                        "client_id": TEXT,
                    }
                )
            }
        ),
    ),
    _verb("hold", "Keep a waiting job back; idempotent.", "CONFLICT"),
    _verb("release", "Let it go on, in its old place; idempotent.", "CONFLICT"),
    _verb("retry", "Run a job again that ended badly; idempotent.", "CONFLICT"),
    Operation(
        "POST",
        "/expeditor/jobs/retry",
        "retryJobs",
        JOBS,
        "Run all again that a filter picks; failed ones unless it names a status or ids.",
        {200: json_answer(ref("Retried"), "How many.")},
        codes=(*READ_FAULTS, "LIMIT_EXCEEDED"),
        also=TOO_LARGE,
        body=BULK_BODY,
    ),
    Operation(
        "POST",
        "/expeditor/jobs/cancel",
        "cancelJobs",
        JOBS,
        "Cancel all that a filter picks; those that have not ended unless it names a status or ids.",
        {200: json_answer(ref("Canceled"), "How many.")},
        codes=(*READ_FAULTS, "LIMIT_EXCEEDED"),
        also=TOO_LARGE,
        body=BULK_BODY,
    ),
)
