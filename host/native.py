"""Between ComfyUI's queue tuple and our job record, both ways. Pure.

The tuple is ``(number, prompt_id, prompt, extra_data, outputs_to_execute, sensitive)``; the sixth element (partner keys) is
never stored: a job only remembers that it had one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, cast

from ..jobs.estimate import signature
from ..jobs.model import DEFAULT_POOL, PRIORITY_DEFAULT, Job, JsonObject, NewJob, Payload, Principal, Source
from ..jobs.models_named import models_named
from ..jobs.principals import ANONYMOUS
from .context import Submission

NativeItem = tuple[Any, ...]
SYNTHETIC_PREFIX = "expeditor.no-client."
"""Client ids that we gave to jobs without one; nobody listens on them. No word that a client would choose for itself."""

GUEST_PREFIX = "expeditor.elsewhere."
"""Begins the client id under which a job of another instance runs here."""


def new_job(
    item: NativeItem,
    submission: Submission | None,
    now_s: float,
    origin: str | None = None,
    pool: str = DEFAULT_POOL,
) -> NewJob:
    """The job that a queue tuple stands for; ``pool``: if it names none. Never raises for what in-process code may have put into it."""
    number, prompt_id, prompt, extra_data, outputs = item[:5]
    sensitive: Any = item[5] if len(item) > 5 else None
    prompt_json = to_json(prompt)
    client_id = cast("JsonObject", extra_data).get("client_id") if isinstance(extra_data, dict) else None
    graph = cast("JsonObject", prompt) if isinstance(prompt, dict) else {}
    place = _finite(number)
    client = client_id if isinstance(client_id, str) and client_id else None
    principal = submission.principal if submission else Principal(client) if client else ANONYMOUS
    expires_in_s = submission.expires_in_s if submission else None
    return NewJob(
        id=str(prompt_id),
        principal=principal,
        priority=submission.priority if submission else PRIORITY_DEFAULT,
        source=submission.source if submission else Source.IN_PROCESS,
        created_at_s=now_s,
        number=place,
        payload=Payload(
            prompt_json=prompt_json, extra_json=to_json(extra_data), outputs_json=to_json(_listed(outputs))
        ),
        front=bool(submission and submission.front) or place < 0,
        client_id=client,
        metadata=dict(submission.metadata) if submission else {},
        signature=signature(graph) if graph else "",
        node_count=len(graph),
        prompt_length=len(prompt_json),
        needs_secret=bool(sensitive),
        request_key=submission.key_for(str(prompt_id)) if submission else None,
        models=models_named(graph),
        not_before_s=submission.not_before_s if submission else None,
        expires_at_s=None if expires_in_s is None else now_s + expires_in_s,
        max_attempts=submission.max_attempts if submission else None,
        slot=submission.slot if submission else None,
        webhook=submission.webhook if submission else None,
        origin=origin,
        pool=(submission.pool if submission else None) or pool,
    )


def native_item(job: Job, payload: Payload) -> NativeItem:
    """The queue tuple of a job recovered from the store; without partner keys."""
    extra: JsonObject = json.loads(payload.extra_json)
    return (job.number, job.id, json.loads(payload.prompt_json), extra, json.loads(payload.outputs_json), {})


def item_of(job: Job, payload: Payload | None) -> NativeItem:
    """As ``native_item``; of a payload that is damaged an empty prompt, which core ends at once."""
    try:
        item = native_item(job, payload) if payload is not None else None
    except (ValueError, RecursionError):
        item = None
    if item is None or not isinstance(item[2], dict) or not isinstance(item[3], dict):
        return (job.number, job.id, {}, {}, [], {})
    return item


def item_id(item: NativeItem) -> str:
    """The job's id; in-process code may have put something that is no text."""
    return str(item[1])


def from_both_ends(count: int) -> Iterator[int]:
    """The places of a list: first, last, second, last but one, and so on.

    What leaves a long queue has mostly come first or last, so it is found at once.
    """
    for step in range((count + 1) // 2):
        yield step
        if step != count - 1 - step:
            yield count - 1 - step


def take_out(items: list[NativeItem], *gone: NativeItem) -> None:
    """Take items out of a list, those that are in it. By identity: two may be equal, and comparing prompts is slow."""
    if len(gone) != 1:
        ids = {id(item) for item in gone}
        items[:] = [item for item in items if id(item) not in ids]
        return
    (item,) = gone
    place = next((place for place in from_both_ends(len(items)) if items[place] is item), None)
    if place is not None:
        del items[place]


def item_client(item: NativeItem) -> str | None:
    """The client that ComfyUI will tell of this item's run."""
    extra = cast("JsonObject", item[3]) if isinstance(item[3], dict) else {}
    client_id = extra.get("client_id")
    return client_id if isinstance(client_id, str) else None


def with_client_id(item: NativeItem) -> NativeItem:
    """The item as it is run: jobs without a client get a synthetic id.

    ComfyUI before 0.19 loses the outputs of fully cached runs that have no client; the item that lists and history
    show stays as it was.
    """
    extra = cast("JsonObject", item[3]) if isinstance(item[3], dict) else {}
    if extra.get("client_id") is None:
        extra = {**extra, "client_id": f"{SYNTHETIC_PREFIX}{item[1]}"}
    elif len(item) > 5 and isinstance(item[5], dict):
        return item
    # Old packs put five elements, and core's worker thread dies of anything but a dictionary as fourth or sixth.
    keys = cast("JsonObject", item[5]) if len(item) > 5 and isinstance(item[5], dict) else {}
    return (*item[:3], extra, *item[4:5], keys, *item[6:])


def as_guest(item: NativeItem) -> NativeItem:
    """The item of another instance's job as it is run and shown here: its messages are for a socket that is not here."""
    extra = cast("JsonObject", item[3]) if isinstance(item[3], dict) else {}
    return (*item[:3], {**extra, "client_id": f"{GUEST_PREFIX}{item[1]}"}, *item[4:])


def guest_of(client_id: object) -> str | None:
    """The job of another instance whose run messages to this client id are; None for any other id."""
    if isinstance(client_id, str) and client_id.startswith(GUEST_PREFIX):
        return client_id[len(GUEST_PREFIX) :]
    return None


def client_of(job_id: str, client_id: str | None) -> str:
    """The socket that a run's messages are for; of a job without a client one that nobody listens on."""
    return client_id if client_id is not None else f"{SYNTHETIC_PREFIX}{job_id}"


def is_synthetic(client_id: object) -> bool:
    """Whether a socket id is one of those that nobody listens on."""
    return isinstance(client_id, str) and client_id.startswith(SYNTHETIC_PREFIX)


def to_json(value: Any) -> str:
    """JSON text of anything: what JSON cannot say becomes its text, what cannot be walked becomes null."""
    try:
        return json.dumps(value, default=repr)
    except Exception:  # noqa: BLE001 - in-process code may put objects whose own text fails in any way
        return "null"


def _finite(number: Any) -> float:
    try:
        place = float(number) if isinstance(number, (int, float)) else 0.0
    except OverflowError:
        return 0.0
    return place if math.isfinite(place) else 0.0


def _listed(outputs: Any) -> list[Any]:
    return list(cast("list[Any]", outputs)) if isinstance(outputs, (list, tuple, set, frozenset)) else []
