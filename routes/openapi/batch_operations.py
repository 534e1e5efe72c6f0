"""The routes of batches. Pure data."""

from __future__ import annotations

from ...intake.batch_request import COMMON_FIELDS, ITEM_FIELDS
from ...jobs.model import JobStatus
from .job_operations import KEY, PROMPT_FAULTS, READ_FAULTS, REPLAYED, SUBMISSION, TOO_LARGE
from .parts import (
    ANY_OBJECT,
    COUNT,
    FLAG,
    SECONDS,
    TEXT,
    TIME,
    UUID,
    Answer,
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
    table,
    told,
    whole,
    words,
)

BATCHES = "Batches"
BATCH_ID = in_path("batch_id", "The batch's id.")
PRUNED = "pruned"
STATUSES = [status.value for status in JobStatus]
_BATCH_FIELDS: dict[str, Schema] = {
    "id": UUID,
    "status": told(words(["queued", "running", "ended"]), "`queued`: none has started; `ended`: all have."),
    "principal": TEXT,
    "created_at": TIME,
    "count": told(COUNT, "How many jobs it has."),
    "ended": told(COUNT, "How many of them have ended."),
    "progress": told(whole(dict.fromkeys([*STATUSES, PRUNED], COUNT)), "How many stand in each status."),
    "eta_s": told(nullable(SECONDS), "Until the last one ends."),
    "inputs": told(listed(TEXT), "The swept inputs."),
    "metadata": table(TEXT),
    "failed": told(listed(ref("BatchFailed")), "The first hundred."),
    "refused": told(listed(ref("BatchRefused")), "What a partial batch was accepted without."),
    "links": {
        "type": "object",
        "required": ["self", "jobs", "results", "zip"],
        "properties": dict.fromkeys(("self", "jobs", "results", "zip", "cancel", "retry"), TEXT),
    },
}
_MANY: dict[str, Schema] = {
    "unchanged": COUNT,
    "refused": COUNT,
    "refused_jobs": listed(ref("RefusedJob")),
    "more": FLAG,
    "batch": ref("Batch"),
}
SUBMISSION_OF_BATCH: dict[str, Schema] = {
    "jobs": told({"type": "array", "items": ref("BatchItem"), "minItems": 1}, "A list of jobs."),
    "sweep": told(
        {"anyOf": [ANY_OBJECT, listed(ANY_OBJECT)]},
        "In place of `jobs`, with `prompt`: what varies, `{zip, product}` of `node.input` to values.",
    ),
    "partial": told(FLAG, "Take the good jobs, and say which were refused."),
    "preview": told(FLAG, "Only say what this would be."),
    **{name: schema for name, schema in SUBMISSION.items() if name in COMMON_FIELDS},
}

SCHEMAS: dict[str, Schema] = {
    "BatchSubmission": asked(SUBMISSION_OF_BATCH),
    "BatchItem": asked({name: schema for name, schema in SUBMISSION.items() if name in ITEM_FIELDS}),
    "Batch": whole(_BATCH_FIELDS),
    "BatchSubmitted": whole({**_BATCH_FIELDS, "job_ids": told(listed(UUID), "By their place in the batch.")}),
    "BatchFailed": whole({"index": COUNT, "job_id": TEXT, "code": nullable(TEXT), "message": nullable(TEXT)}),
    "BatchRefused": whole({"index": COUNT, "code": TEXT, "message": TEXT, "pointer": TEXT}),
    "BatchPreview": whole(
        {
            "valid": FLAG,
            "count": COUNT,
            "faulty": told(COUNT, "How many jobs have faults."),
            "inputs": listed(TEXT),
            "estimated_s": told(SECONDS, "How long the good ones run."),
            "starts_in_s": nullable(SECONDS),
            "eta_s": nullable(SECONDS),
            "room": told(FLAG, "Whether the queue has room for them."),
            "no_room": told(nullable(TEXT), "Why it has none."),
            "errors": listed(ref("Fault")),
        }
    ),
    "BatchResults": whole(
        {
            "id": UUID,
            "created_at": TIME,
            "count": COUNT,
            "metadata": table(TEXT),
            "items": listed(ref("BatchResult")),
            "refused": listed(ref("BatchRefused")),
        }
    ),
    "BatchResult": whole(
        {
            "index": COUNT,
            "job_id": told(nullable(UUID), "null: the job was pruned."),
            "status": words([*STATUSES, PRUNED]),
            "values": told({"type": "object"}, "The swept values, by input."),
            "metadata": table(TEXT),
            "outputs": listed(ref("Output")),
            "finished_at": nullable(TIME),
            "cause": nullable(ref("Cause")),
            "error": nullable(ref("JobError")),
        }
    ),
    "BatchCanceled": whole({"matched": COUNT, "canceled": COUNT, **_MANY}),
    "BatchRetried": whole({"matched": COUNT, "retried": COUNT, **_MANY}),
}


def _of_one(method: str, rest: str, name: str, summary: str, answer: Answer) -> Operation:
    path = f"/expeditor/batches/{{batch_id}}{rest}"
    codes = ("NOT_FOUND", "GONE")
    return Operation(method, path, name, BATCHES, summary, {200: answer}, codes=codes, parameters=(BATCH_ID,))


OPERATIONS = (
    Operation(
        "POST",
        "/expeditor/batches",
        "submitBatch",
        BATCHES,
        "Many jobs under one id, all of them or none: a list of prompts, or one prompt with a sweep.",
        {
            201: json_answer(ref("BatchSubmitted"), "All jobs are on disk.", {"Location": TEXT}),
            200: json_answer(
                {"anyOf": [ref("BatchSubmitted"), ref("BatchPreview")]},
                "A repeat: the batch as it stands; or, with `dry_run` or `preview`, what it would be.",
                {"Location": TEXT, **REPLAYED},
            ),
        },
        codes=(*READ_FAULTS, *PROMPT_FAULTS, "CONFLICT", "GONE", "QUEUE_FULL", "DRAINING"),
        also={**TOO_LARGE, 400: ("INPUT_INVALID",)},
        parameters=(
            in_query("dry_run", words(["true", "false"]), "Only say what this would be."),
            KEY,
        ),
        body=Body({"application/json": ref("BatchSubmission")}),
    ),
    _of_one("GET", "", "getBatch", "How far it is.", json_answer(ref("Batch"), "The batch.")),
    _of_one(
        "GET",
        "/results",
        "getBatchResults",
        "Every job with its values and outputs.",
        json_answer(ref("BatchResults"), "The manifest."),
    ),
    _of_one(
        "GET",
        "/results.zip",
        "getBatchFiles",
        "The files of all jobs that have ended, and the manifest.",
        Answer("A zip, made as it is read.", {"application/zip": {}}, {"Content-Disposition": TEXT}),
    ),
    _of_one(
        "POST",
        "/cancel",
        "cancelBatch",
        "Cancel what has not ended; idempotent.",
        json_answer(ref("BatchCanceled"), "How many, and the batch."),
    ),
    _of_one(
        "POST",
        "/retry",
        "retryBatch",
        "Run again what failed; idempotent.",
        json_answer(ref("BatchRetried"), "How many, and the batch."),
    ),
)
