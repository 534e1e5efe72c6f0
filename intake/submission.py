"""What a client may ask for on our own submit route, parsed from plain fields. Pure; knows nothing of HTTP or storage."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, cast

from ..jobs.errors import Fault, InputInvalid, InvalidPromptId, LimitExceeded
from ..jobs.metadata import MAX_METADATA_LENGTH, MAX_METADATA_PAIRS
from ..jobs.model import JsonObject, WebhookTarget
from .envelope import is_prompt_id
from .extra_data import misfits
from .faults import field_fault, pointer, refusal, short, unknown_field
from .lift import take
from .limits import deeper_than
from .pools import take_pool
from .times import parse_times
from .webhook_field import parse_webhook

JSON_FIELDS = frozenset(
    {
        *("prompt", "priority", "_priority", "extra_data", "metadata", "front", "number", "partial_execution_targets"),
        *("not_before", "expires_in_s", "max_attempts", "webhook"),
    }
)
"""Fields that are not text: in a form they hold JSON."""
FIELDS = JSON_FIELDS | {"prompt_id", "client_id", "pool"}
MAX_EXTRA_DEPTH = 200
"""ComfyUI copies what it lists recursively: deeper than some 450 levels, listing or interrupting any job would fail."""
MAX_FAULTS = 100
"""Most faults listed, and most unknown fields looked at: a body of a million names must not cost a second of the loop."""


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """A well-formed request; ``prompt`` itself is not judged yet. ``prompt_id`` None: the server makes one.

    ``priority_given``: the client named one. ``not_before_s`` in seconds since the epoch. ``pool`` None: the usual one.
    """

    prompt: Any
    priority: int
    prompt_id: str | None = None
    client_id: str | None = None
    extra_data: JsonObject = field(default_factory=lambda: {})
    metadata: JsonObject = field(default_factory=lambda: {})
    front: bool = False
    number: float | None = None
    targets: list[str] | None = None
    priority_given: bool = True
    not_before_s: float | None = None
    expires_in_s: float | None = None
    max_attempts: int | None = None
    webhook: WebhookTarget | None = None
    pool: str | None = None


def parse_submission(fields: JsonObject) -> SubmitRequest:
    """Check the fields around the prompt; all faults at once. Raises ``InputInvalid`` or ``InvalidPromptId``."""
    lifted = take(fields, own_route=True)
    pooled = take_pool(lifted.body, own_route=True)
    body = pooled.body
    times = parse_times(body)
    webhook, webhook_faults = parse_webhook(body.get("webhook"))
    faults = [*lifted.faults, *_unknown(body), *_types(body), *times.faults, *_extra_data(body.get("extra_data"))]
    faults += [*webhook_faults, *pooled.faults]
    prompt_id = body.get("prompt_id")
    if prompt_id is not None and not is_prompt_id(prompt_id):
        faults.append(Fault("/prompt_id", InvalidPromptId.code, (InvalidPromptId.__doc__ or "").strip()))
    if faults:
        raise refusal(faults, MAX_FAULTS)
    number = body.get("number")
    return SubmitRequest(
        prompt=body.get("prompt"),
        priority=lifted.effective,
        prompt_id=prompt_id,
        client_id=body.get("client_id"),
        extra_data=dict(body.get("extra_data") or {}),
        metadata=dict(body.get("metadata") or {}),
        front=bool(body.get("front", False)) or (number is not None and number < 0),
        number=None if number is None else float(number),
        targets=body.get("partial_execution_targets"),
        priority_given=lifted.priority is not None,
        not_before_s=times.not_before_s,
        expires_in_s=times.expires_in_s,
        max_attempts=times.max_attempts,
        webhook=webhook,
        pool=pooled.pool,
    )


def check_times(request: SubmitRequest, now_s: float) -> None:
    """Refuse a job that would expire before it may start. Raises ``InputInvalid``."""
    start_s, life_s = request.not_before_s, request.expires_in_s
    if start_s is not None and life_s is not None and now_s + life_s <= start_s:
        message = "The job would expire before not_before has come."
        raise InputInvalid(
            message, faults=(field_fault("expires_in_s", message, "Make it longer: it counts from now."),)
        )


def _unknown(body: JsonObject) -> list[Fault]:
    faults: list[Fault] = []
    for name in body:
        if name in FIELDS:
            continue
        faults.append(unknown_field(name, FIELDS))
        if len(faults) == MAX_FAULTS:
            break
    return faults


def _types(body: JsonObject) -> list[Fault]:
    faults: list[Fault] = []
    if "prompt" not in body:
        faults.append(field_fault("prompt", "prompt is missing.", "Send ComfyUI's API-format graph as prompt."))
    if not isinstance(body.get("client_id"), (str, type(None))):
        faults.append(field_fault("client_id", "client_id must be text."))
    if not isinstance(body.get("front", False), bool):
        faults.append(field_fault("front", "front must be true or false."))
    faults.extend(
        field_fault(name, f"{name} must be an object.")
        for name in ("extra_data", "metadata")
        if not isinstance(body.get(name), (dict, type(None)))
    )
    number = body.get("number")
    if number is not None and (isinstance(number, bool) or not isinstance(number, (int, float)) or not _finite(number)):
        faults.append(field_fault("number", "number must be a finite number."))
    targets = body.get("partial_execution_targets")
    if targets is not None and not (
        isinstance(targets, list) and all(isinstance(target, str) for target in cast("list[Any]", targets))
    ):
        faults.append(field_fault("partial_execution_targets", "partial_execution_targets must be a list of node ids."))
    return [*faults, *_metadata(body.get("metadata"))]


def _metadata(metadata: Any) -> list[Fault]:
    if not isinstance(metadata, dict):
        return []
    pairs = cast("dict[str, Any]", metadata)
    faults: list[Fault] = []
    if len(pairs) > MAX_METADATA_PAIRS:
        faults.append(field_fault("metadata", f"metadata may have at most {MAX_METADATA_PAIRS} pairs."))
    for key, value in list(pairs.items())[:MAX_METADATA_PAIRS]:
        if not isinstance(value, str) or len(value) > MAX_METADATA_LENGTH or len(key) > MAX_METADATA_LENGTH:
            text = f"metadata keys and values must be texts of at most {MAX_METADATA_LENGTH} characters."
            faults.append(Fault(pointer("metadata", short(key)), InputInvalid.code, text))
    return faults


def _extra_data(extra_data: Any) -> list[Fault]:
    if not isinstance(extra_data, dict):
        return []
    fields = cast("JsonObject", extra_data)
    faults = [
        Fault(pointer(*path), InputInvalid.code, f"{'.'.join(path)} must be {rule}.")
        for path, rule, _ in misfits(fields)
    ]
    if deeper_than(fields, MAX_EXTRA_DEPTH):
        text = f"extra_data is nested deeper than {MAX_EXTRA_DEPTH} levels."
        faults.insert(0, Fault(pointer("extra_data"), LimitExceeded.code, text))
    return faults


def _finite(number: float) -> bool:
    try:
        return math.isfinite(float(number))
    except OverflowError:
        return False
