"""The records with which ``intake`` and ``host`` talk about a prompt that wants to enter ComfyUI's queue, by either door."""

from __future__ import annotations

from dataclasses import dataclass

from .model import BatchSlot, JsonObject, Principal, RequestKey, Source, WebhookTarget


@dataclass(frozen=True, slots=True)
class CoreVerdict:
    """Core's own validation: ``error`` and ``node_errors`` as core's server would answer them."""

    valid: bool
    error: JsonObject | None
    outputs_to_execute: tuple[str, ...]
    node_errors: JsonObject


@dataclass(frozen=True, slots=True)
class Entry:
    """An admitted job on its way into ComfyUI's queue. ``extra_data`` may hold partner keys: memory only.

    ``expires_in_s`` counts from the moment when the job is accepted. ``pool`` None: the usual one.
    """

    prompt_id: str
    prompt: JsonObject
    extra_data: JsonObject
    outputs_to_execute: tuple[str, ...]
    priority: int
    principal: Principal
    source: Source
    front: bool
    number: float | None
    metadata: JsonObject
    request_key: RequestKey | None = None
    not_before_s: float | None = None
    expires_in_s: float | None = None
    max_attempts: int | None = None
    slot: BatchSlot | None = None
    webhook: WebhookTarget | None = None
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class PreparedPrompt:
    """A body for core: without priorities in it, and what was lifted out. ``request_key``: what makes it a repeat, if anything.

    ``pool`` None: it names none."""

    body: JsonObject
    priority: int
    principal: Principal
    request_key: RequestKey | None = None
    pool: str | None = None
