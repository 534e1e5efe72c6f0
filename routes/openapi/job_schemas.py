"""The schemas of jobs and of all that stands in them. Pure data; the enumerations are the code's own."""

from __future__ import annotations

from ...intake.waiting import EstimateBasis, WaitReason
from ...jobs.model import PRIORITY_MAX, PRIORITY_MIN, Cause, JobStatus
from .parts import (
    COUNT,
    FLAG,
    NUMBER,
    SECONDS,
    TEXT,
    TIME,
    UUID,
    WHOLE,
    Schema,
    listed,
    nullable,
    ref,
    table,
    told,
    whole,
    words,
)

KINDS = ("image", "video", "audio", "text", "file", "latent")
PRIORITY: Schema = {"type": "integer", "minimum": PRIORITY_MIN, "maximum": PRIORITY_MAX}
ACTIONS = ("self", "cancel", "priority", "hold", "release", "retry")

OUTPUT = whole(
    {
        "id": told(TEXT, "The same after every restart; the file's asset id in the Comfy API v2."),
        "job_id": UUID,
        "node_id": told(TEXT, "The node that made it."),
        "name": told(TEXT, "The file's name."),
        "type": words(KINDS),
        "content_type": TEXT,
        "size_bytes": told(nullable(COUNT), "null: the file was not found at the end of the run."),
        "hash": told({"type": "null"}, "Always null so far."),
        "url": told(TEXT, "The bytes, from this API."),
        "url_expires_at": told({"type": "null"}, "Always null so far."),
        "view_url": told(
            nullable(TEXT),
            "The file by ComfyUI's own route; null at an instance other than the one where the job was submitted.",
        ),
        "cached": told(FLAG, "Its node did not run: the file is an earlier job's."),
    }
)
ATTEMPT = whole(
    {
        "number": told({"type": "integer", "minimum": 1}, "From 1."),
        "started_at": TIME,
        "finished_at": nullable(TIME),
        "duration_s": told(nullable(NUMBER), "null while it runs, and where its process died."),
        "outcome": nullable(words([status.value for status in JobStatus])),
        "cause": nullable(ref("Cause")),
        "message": told(nullable(TEXT), "Why it did not succeed."),
        "last_node_id": nullable(TEXT),
        "instance": told(TEXT, "The life of the server that ran it."),
    }
)
PROGRESS = whole(
    {
        "value": told({"type": "number", "minimum": 0, "maximum": 1}, "0 to 1."),
        "nodes_done": COUNT,
        "nodes_total": COUNT,
        "current_node": nullable(TEXT),
        "current_node_class": nullable(TEXT),
        "step": nullable(NUMBER),
        "steps": nullable(NUMBER),
    }
)
ERROR_OF_JOB = whole(
    {
        "code": ref("Cause"),
        "message": TEXT,
        "remedy": told(nullable(TEXT), "What you can do."),
        "node_id": nullable(TEXT),
        "class_type": nullable(TEXT),
        "exception_type": nullable(TEXT),
        "log_tail": told(nullable(TEXT), "The last log lines of a server that died while the job ran."),
    }
)
AHEAD = whole(
    {
        "by_priority": told(table(COUNT), "How many waiting jobs of which priority stand before it."),
        "own": told(COUNT, "How many of them are its own principal's."),
        "running": COUNT,
        "work_s": told(SECONDS, "The estimated seconds of all of them."),
    }
)
WAITING = whole(
    {
        "reason": words([reason.value for reason in WaitReason]),
        "message": told(TEXT, "One sentence for people."),
        "position": nullable({"type": "integer", "minimum": 1}),
        "ahead": told(nullable(ref("Ahead")), "null in lists."),
        "eta_s": nullable(SECONDS),
        "eta_basis": told(
            nullable(words([basis.value for basis in EstimateBasis])), "What `eta_s` rests on; null in lists."
        ),
        "until": told(nullable(TIME), "When it may start at the earliest."),
        "expires_at": nullable(TIME),
    }
)
JOB = whole(
    {
        "id": told(UUID, "ComfyUI's `prompt_id`."),
        "status": ref("JobStatus"),
        "priority": told(PRIORITY, "10 is most urgent."),
        "principal": told(TEXT, "Whom it belongs to."),
        "position": told(nullable({"type": "integer", "minimum": 1}), "Its place in the line, 1 is next."),
        "eta_s": told(nullable(SECONDS), "Estimated seconds until it ends."),
        "waiting": told(nullable(ref("Waiting")), "Why it waits."),
        "attempt": told(COUNT, "How often it was started."),
        "attempts": listed(ref("Attempt")),
        "created_at": TIME,
        "queued_at": TIME,
        "started_at": nullable(TIME),
        "finished_at": nullable(TIME),
        "not_before": nullable(TIME),
        "expires_at": nullable(TIME),
        "max_attempts": nullable(WHOLE),
        "models": told(listed(TEXT), "The model files that its prompt names."),
        "pool": told(TEXT, "Which instances may run it."),
        "origin": told(nullable(TEXT), "The instance where it was submitted; null where there is but one."),
        "instance": told(nullable(TEXT), "The instance that runs it or ran it last; null where there is but one."),
        "parked_s": told(SECONDS, "How long it has waited for people off the machine."),
        "progress": told(nullable(ref("Progress")), "While it runs."),
        "outputs": listed(ref("Output")),
        "cause": told(nullable(ref("Cause")), "Why it did not succeed."),
        "error": nullable(ref("JobError")),
        "metadata": told(table(TEXT), "As submitted."),
        "batch": told(nullable(ref("BatchSlot")), "The batch that it belongs to."),
        "held": FLAG,
        "cached": told(FLAG, "Nothing had to run: every result was in ComfyUI's cache."),
        "links": told(
            {"type": "object", "required": ["self"], "properties": dict.fromkeys(ACTIONS, TEXT)},
            "What can be done now.",
        ),
    }
)
SCHEMAS: dict[str, Schema] = {
    "Job": JOB,
    "JobList": whole(
        {
            "jobs": listed(ref("Job")),
            "next_cursor": told(nullable(TEXT), "Send it as `cursor` for the next page; null: this was the last."),
        }
    ),
    "JobStatus": words([status.value for status in JobStatus]),
    "Cause": words([cause.value for cause in Cause]),
    "Output": OUTPUT,
    "Attempt": ATTEMPT,
    "Progress": PROGRESS,
    "JobError": ERROR_OF_JOB,
    "Waiting": WAITING,
    "Ahead": AHEAD,
    "BatchSlot": whole({"id": TEXT, "index": COUNT}),
}
