"""The routes of the queue and of the server: depth, pause and drain, messages, health, metrics, tokens, this document. Pure data."""

from __future__ import annotations

from .job_operations import READ_FAULTS, TOO_LARGE
from .job_schemas import PRIORITY
from .parts import (
    ANY_OBJECT,
    COUNT,
    FLAG,
    NUMBER,
    SECONDS,
    TEXT,
    TIME,
    WHOLE,
    Answer,
    Body,
    Operation,
    Schema,
    asked,
    in_path,
    json_answer,
    listed,
    nullable,
    ref,
    table,
    told,
    whole,
    words,
)

QUEUE, MESSAGES, SERVER = "Queue", "Messages", "Server"
_SIDE: dict[str, Schema] = {"open": FLAG, "error": nullable(TEXT), "notice": nullable(TEXT)}
NODE_ID: Schema = {"anyOf": [TEXT, WHOLE]}

SCHEMAS: dict[str, Schema] = {
    "Depth": whole({"jobs": COUNT, "work_s": SECONDS}),
    "Queue": whole(
        {
            "waiting": COUNT,
            "running": COUNT,
            "parked": told(COUNT, "How many wait for people off the machine."),
            "eta_s": told(nullable(SECONDS), "Until all of it is done; null while the queue stands still."),
            "by_priority": told(table(ref("Depth")), "Of those that wait."),
            "by_principal": told(table(ref("Depth")), "Of those that wait."),
            "oldest_wait_s": nullable(SECONDS),
            "drain_rate_jobs_per_second": told(nullable(NUMBER), "Over the last five minutes."),
            "paused": FLAG,
            "draining": FLAG,
            "held": told(COUNT, "How many of those that wait are held back."),
            "delayed": told(COUNT, "How many of those that wait may not start yet."),
        }
    ),
    "Delivered": whole(
        {"delivered": {"type": "boolean", "enum": [True]}, "token": TEXT, "node_id": TEXT, "prompt_id": nullable(TEXT)}
    ),
    "Wait": whole(
        {
            "token": told(TEXT, "Names this wait."),
            "node_id": TEXT,
            "prompt_id": nullable(TEXT),
            "kind": told(words(["text", "approve", "pick"]), "What sort of answer it takes."),
            "label": told(TEXT, "What the person is asked."),
            "text": told(TEXT, "`approve`: a text that can be edited."),
            "images": told(
                listed(whole({"url": TEXT})), "What is shown; `pick`: what is to be chosen of, numbered from 0."
            ),
            "least": told(nullable(COUNT), "`pick`: how many must be chosen."),
            "most": told(nullable(COUNT), "`pick`: how many may be chosen."),
            "opened_at": TIME,
            "deadline_at": TIME,
            "max_bytes": COUNT,
        }
    ),
    "Pending": whole({"pending": told(listed(ref("Wait")), "Oldest first.")}),
    "Health": whole(
        {
            "status": words(["ok", "degraded"]),
            "fault": told(nullable(TEXT), "Why it is degraded."),
            "instance": told(TEXT, "This instance's name."),
            "version": TEXT,
            "comfyui_version": TEXT,
            "pid": COUNT,
            "uptime_s": SECONDS,
            "worker_alive": told(
                nullable(FLAG), "null until ComfyUI's worker thread has asked for work the first time."
            ),
            "loop_lag_s": SECONDS,
            "hooks": told(table(TEXT), "Each `on`, or why not."),
            "store": whole(
                {
                    "kind": TEXT,
                    "open": FLAG,
                    "error": nullable(TEXT),
                    "notice": nullable(TEXT),
                    "pending_writes": COUNT,
                    "free_bytes": told(nullable(COUNT), "Room left on its disk."),
                }
            ),
            "parking": told(
                whole({"state": TEXT, "kept_prompts": COUNT, "kept_bytes": COUNT}),
                "`on`, or why prompts that wait for people keep the machine; what is kept of those that do not.",
            ),
            "assets": told(whole(_SIDE), "The records of assets; the queue works without them."),
            "webhooks": told(whole(_SIDE), "Their outbox; the queue works without it."),
        }
    ),
    "Ready": whole({"ready": FLAG, "reason": told(nullable(TEXT), "Why it should get no work now.")}),
    "Token": whole(
        {
            "name": TEXT,
            "priority": told(nullable(PRIORITY), "Of jobs that name none."),
            "max_priority": nullable(PRIORITY),
            "admin": FLAG,
            "webhook": told(FLAG, "Whether its jobs have a webhook of their own."),
        }
    ),
    "Tokens": whole({"tokens": listed(ref("Token"))}),
}


def _queue(verb: str, summary: str) -> Operation:
    answer = {200: json_answer(ref("Queue"), "The queue.")}
    return Operation("POST", f"/expeditor/queue/{verb}", f"{verb}Queue", QUEUE, summary, answer)


OPERATIONS = (
    Operation(
        "GET",
        "/expeditor/queue",
        "getQueue",
        QUEUE,
        "What waits and runs, by priority and principal.",
        {200: json_answer(ref("Queue"), "The queue.")},
    ),
    _queue("pause", "Take jobs, start none; survives a restart."),
    _queue("resume", "End a pause and a drain."),
    _queue("drain", "Take no jobs, start none, finish what runs; ended by a restart."),
    Operation(
        "POST",
        "/expeditor/queue/clear",
        "clearQueue",
        QUEUE,
        "Cancel all that waits.",
        {200: json_answer(ref("Canceled"), "How many.")},
        codes=(*READ_FAULTS, "LIMIT_EXCEEDED"),
        also=TOO_LARGE,
        body=Body(
            {"application/json": asked({"principal": nullable(TEXT), "priority": nullable(PRIORITY)})}, required=False
        ),
    ),
    Operation(
        "POST",
        "/expeditor/messages",
        "sendMessage",
        MESSAGES,
        "Answer a node that waits.",
        {200: json_answer(ref("Delivered"), "The node has it.")},
        codes=(*READ_FAULTS, "LIMIT_EXCEEDED", "NOT_FOUND", "CONFLICT", "GONE"),
        also=TOO_LARGE,
        body=Body(
            {
                "application/json": {
                    "type": "object",
                    "required": ["message", "node_id"],
                    "properties": {
                        "message": told({"anyOf": [TEXT, WHOLE]}, "The text; or as the wait's `kind` takes it."),
                        "node_id": told(NODE_ID, "The node's id in the prompt."),
                        "token": told(nullable(TEXT), "Only needed when several waits fit."),
                        "prompt_id": nullable(TEXT),
                    },
                }
            }
        ),
        reads=False,
    ),
    Operation(
        "GET",
        "/expeditor/messages/pending",
        "listPending",
        MESSAGES,
        "The nodes that wait.",
        {200: json_answer(ref("Pending"), "Every wait.")},
        reads=False,
    ),
    Operation(
        "GET",
        "/expeditor/messages/{token}/images/{n}",
        "getWaitImage",
        MESSAGES,
        "A picture that a waiting node shows, as JPEG or PNG; its longest side has at most 1024 pixels.",
        {200: Answer("The picture.", {"image/jpeg": {}, "image/png": {}})},
        codes=("NOT_FOUND", "GONE", "STORE_UNAVAILABLE"),
        parameters=(in_path("token", "The wait's token."), in_path("n", "Which one, from 0.")),
        reads=False,
    ),
    Operation(
        "GET",
        "/expeditor/health",
        "getHealth",
        SERVER,
        "How the server is.",
        {200: json_answer(ref("Health"), "Always.")},
        reads=False,
    ),
    Operation(
        "GET",
        "/expeditor/ready",
        "getReady",
        SERVER,
        "Whether it should get work.",
        {200: json_answer(ref("Ready"), "It should."), 503: json_answer(ref("Ready"), "It should not, and why.")},
        reads=False,
    ),
    Operation(
        "GET",
        "/expeditor/metrics",
        "getMetrics",
        SERVER,
        "Prometheus exposition.",
        {200: Answer("Text, or OpenMetrics by `Accept`.", {"text/plain": TEXT, "application/openmetrics-text": TEXT})},
        reads=False,
    ),
    Operation(
        "GET",
        "/expeditor/tokens",
        "listTokens",
        SERVER,
        "The tokens that there are, for admins; never what is secret of them.",
        {200: json_answer(ref("Tokens"), "By name.")},
        codes=("FORBIDDEN",),
        reads=False,
    ),
    Operation(
        "GET",
        "/expeditor/openapi.json",
        "getSpec",
        SERVER,
        "This document.",
        {200: json_answer(ANY_OBJECT, "OpenAPI 3.1.")},
        reads=False,
    ),
)
