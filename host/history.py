"""ComfyUI's history of our jobs: what of an entry is kept in the store, and entries made from what the store has. Pure.

An entry is ``{"prompt": (number, id, prompt, extra_data, outputs_to_execute), "outputs", "status", "meta"}``.
"""

from __future__ import annotations

import copy
import json
from typing import Any, cast

from ..jobs.model import Job, JobStatus, JsonObject, Payload
from .endings import LAST_WORDS, Word
from .farewells import last_word
from .native import NativeItem, item_of
from .sanitise import json_safe

LONGEST_TEXT = 8_000
"""The most characters of a message or a traceback in an entry that is made from a job's record."""

_GROUPS = {"image": "images", "video": "images", "audio": "audio", "latent": "latents"}
"""The name under which ComfyUI's own nodes tell their files, by ``Output.kind``."""

SHOWN = 5
"""History never shows a queue item's sixth element (partner keys)."""


def kept_json(status: Any, safe_result: JsonObject, most_bytes: int) -> str | None:
    """What is kept of a run's entry, as JSON in ASCII; None when that is more than ``most_bytes`` or cannot be said.

    ``status`` is core's named tuple or None; ``safe_result`` can be written as JSON.
    """
    fields = {
        "outputs": safe_result.get("outputs") or {},
        "status": status_fields(status),
        "meta": safe_result.get("meta") or {},
    }
    try:
        text = json.dumps(json_safe(fields))
    except (ValueError, RecursionError, TypeError):
        return None
    return text if len(text) <= most_bytes else None


def status_fields(status: Any) -> JsonObject | None:
    """A status as core's history has it."""
    if status is None:
        return None
    return {
        "status_str": getattr(status, "status_str", "error"),
        "completed": bool(getattr(status, "completed", False)),
        "messages": list(getattr(status, "messages", None) or ()),
    }


def restored_entry(job: Job, payload: Payload, history_json: str) -> JsonObject | None:
    """The entry of a job that ended before this start; None when what was kept cannot be read.

    If nothing was kept of it (``history_json`` is empty) it is made from the job's record: its files and why it failed.
    """
    if not history_json:
        return _entry_of_record(job, item_of(job, payload))
    try:
        kept: Any = json.loads(history_json)
    except (ValueError, RecursionError):
        return None
    if not isinstance(kept, dict):
        return None
    fields = cast("JsonObject", kept)
    status: Any = fields.get("status")
    if job.status is JobStatus.CANCELED and isinstance(status, dict):
        # What was kept is what the run said; it had not heard of the cancellation.
        status = interrupted_status(cast("JsonObject", status), last_word(job, job.finished_at_s or 0.0))
    return {
        "prompt": item_of(job, payload)[:SHOWN],
        "outputs": fields.get("outputs") or {},
        "status": status,
        "meta": fields.get("meta") or {},
    }


def interrupted_status(status: JsonObject | None, word: Word) -> JsonObject:
    """The status of a run whose job ended cancelled: with ``word`` as its last message, unless the run says so itself."""
    said: list[Any] = [] if status is None else list(status.get("messages") or ())
    if not any(_event(message) == word[0] for message in said):
        said = [*(message for message in said if _event(message) not in LAST_WORDS), (word[0], dict(word[1]))]
    return {"status_str": "error", "completed": False, "messages": said}


def _event(message: Any) -> Any:
    return cast("list[Any]", message)[0] if isinstance(message, (list, tuple)) and message else None


def _entry_of_record(job: Job, item: NativeItem) -> JsonObject:
    if job.status is not JobStatus.SUCCEEDED:
        word, fields = last_word(job, job.finished_at_s or 0.0)
        entry = untold_entry(item, (word, {name: _clipped(value) for name, value in fields.items()}))
    else:
        entry = untold_entry(item, ("execution_success", {"prompt_id": job.id}))
        entry["status"] |= {"status_str": "success", "completed": True}
    for output in job.outputs:
        group = entry["outputs"].setdefault(output.node_id, {}).setdefault(_GROUPS.get(output.kind, "files"), [])
        group.append({"filename": output.name, "subfolder": output.subfolder, "type": output.folder})
    return entry


def _clipped(value: Any) -> Any:
    if isinstance(value, str):
        return value[:LONGEST_TEXT]
    return [_clipped(each) for each in cast("list[Any]", value)] if isinstance(value, list) else value


def untold_entry(item: NativeItem, last_word: tuple[str, JsonObject]) -> JsonObject:
    """The entry of a job that ended without a run."""
    number, prompt_id, prompt, extra_data, outputs = item[:SHOWN]
    shown: NativeItem = (number, prompt_id, prompt, extra_data, outputs)
    try:
        # Core copies an entry each time it is asked for; what is nested too deeply for that is not shown.
        copy.deepcopy(shown)
    except Exception:  # noqa: BLE001 - in-process code may have put objects that fail in any way
        shown = (number, prompt_id, {}, {}, [])
    status: JsonObject = {"status_str": "error", "completed": False, "messages": [list(last_word)]}
    return {"prompt": shown, "outputs": {}, "status": status, "meta": {}}
