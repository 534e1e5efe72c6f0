"""The routes of the instances that share a queue. Pure data."""

from __future__ import annotations

from ...jobs.instances import InstanceState, Role
from .parts import (
    COUNT,
    NUMBER,
    TEXT,
    TIME,
    Operation,
    Schema,
    in_path,
    json_answer,
    listed,
    nullable,
    ref,
    told,
    whole,
    words,
)

WORKERS = "Workers"
_STATES = words([state.value for state in InstanceState])
_WISHES = words([state.value for state in InstanceState if state is not InstanceState.GONE])

_INSTANCE: dict[str, Schema] = {
    "name": TEXT,
    "state": told(
        _STATES, "`paused`: accepts, claims nothing; `draining`: refuses too; `gone`: not heard of any more."
    ),
    "url": told(TEXT, "Where the others reach it."),
    "version": TEXT,
    "comfyui_version": TEXT,
    "started_at": TIME,
    "seen_at": told(TIME, "Its last heartbeat."),
    "roles": listed(words([role.value for role in Role])),
    "pools": listed(TEXT),
    "running": told(listed(TEXT), "The jobs on its machine."),
    "models": told(listed(TEXT), "The model files in its memory."),
    "devices": listed(whole({"name": TEXT, "vram_total_bytes": nullable(COUNT), "vram_free_bytes": nullable(COUNT)})),
    "busy_ratio": told(nullable(NUMBER), "The share of the last five minutes with a job on its machine."),
}
WORKER: Schema = whole(_INSTANCE)
SCHEMAS: dict[str, Schema] = {
    "Worker": WORKER,
    "WorkerInFull": whole(
        {
            **_INSTANCE,
            "node_classes": told(nullable(listed(TEXT)), "What it can run; null: it has not told."),
            "models_on_disk": told(nullable(listed(TEXT)), "The model files that it has, as prompts name them."),
        }
    ),
    "Workers": whole({"here": told(TEXT, "The instance that was asked."), "workers": listed(ref("Worker"))}),
    "WorkersAsked": whole(
        {
            "here": told(TEXT, "The instance that was asked."),
            "wished": told(_WISHES, "What each of them will be in a moment."),
            "workers": told(listed(ref("Worker")), "Those that were asked, as they were heard of last."),
        }
    ),
}
_NAME = in_path("name", "An instance's name.")


def _one(verb: str, summary: str) -> Operation:
    answer = {200: json_answer(ref("WorkersAsked"), "The instance.")}
    return Operation(
        "POST",
        f"/expeditor/workers/{{name}}/{verb}",
        f"{verb}Worker",
        WORKERS,
        summary,
        answer,
        parameters=(_NAME,),
        codes=("NOT_FOUND",),
    )


def _all(verb: str, summary: str) -> Operation:
    answer = {200: json_answer(ref("WorkersAsked"), "The living instances.")}
    return Operation("POST", f"/expeditor/workers/{verb}", f"{verb}Workers", WORKERS, summary, answer)


OPERATIONS = (
    Operation(
        "GET",
        "/expeditor/workers",
        "listWorkers",
        WORKERS,
        "The instances that share the queue; on a server that stands alone: itself.",
        {200: json_answer(ref("Workers"), "All that were heard of within the last day, by name.")},
    ),
    Operation(
        "GET",
        "/expeditor/workers/{name}",
        "getWorker",
        WORKERS,
        "One instance, with what it can run.",
        {200: json_answer(ref("WorkerInFull"), "The instance.")},
        parameters=(_NAME,),
        codes=("NOT_FOUND",),
    ),
    _all("pause", "Every living instance claims nothing more."),
    _all("drain", "Every living instance refuses and claims nothing more."),
    _all("resume", "Every living instance is active again."),
    _one("pause", "It accepts and claims nothing; survives its restart."),
    _one("drain", "It refuses, finishes what runs and claims nothing; ended by its restart."),
    _one("resume", "It is active again."),
)
