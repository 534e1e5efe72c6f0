"""What intake needs from outside, by shape. ``host`` fits these; ``runtime`` joins them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from ..jobs.model import Job, Principal, Progress, Source


@dataclass(frozen=True, slots=True)
class CoreVerdict:
    """Core's own validation: ``error`` and ``node_errors`` as core's server would answer them."""

    valid: bool
    error: dict[str, Any] | None
    outputs_to_execute: tuple[str, ...]
    node_errors: dict[str, Any]


class CoreValidator(Protocol):
    """ComfyUI's ``validate_prompt``. May coerce values inside ``prompt`` in place, as core does."""

    async def validate(self, prompt_id: str, prompt: dict[str, Any], targets: list[str] | None) -> CoreVerdict:
        """Core's verdict on ``prompt``; never raises for what a client can send."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """An admitted job on its way into ComfyUI's queue. ``extra_data`` may hold partner keys: memory only."""

    prompt_id: str
    prompt: dict[str, Any]
    extra_data: dict[str, Any]
    outputs_to_execute: tuple[str, ...]
    priority: int
    principal: Principal
    source: Source
    front: bool
    number: float | None
    metadata: dict[str, Any]


class QueueDoor(Protocol):
    """ComfyUI's queue, with our class in it."""

    async def enter(self, entry: Entry) -> Job:
        """Put the job into the one queue and wait for its commit. Raises ``StoreUnavailable`` or ``Conflict``; then it is not in."""
        ...

    def remove(self, job_id: str) -> None:
        """Drop a cancelled job from ComfyUI's list of waiting prompts; nothing happens if it is not there."""
        ...


class Runs(Protocol):
    """What ``dispatch`` knows of the jobs that run now."""

    def progress(self, job_id: str) -> Progress | None:
        """The latest snapshot, or None when the job does not run here."""
        ...

    def running_for_s(self, job_id: str) -> float | None:
        """Seconds since the run began, or None when the job does not run here."""
        ...

    def interrupt(self, job_id: str) -> None:
        """Stop the job's run, now or at its first sign of life: the wish cannot be lost."""
        ...
