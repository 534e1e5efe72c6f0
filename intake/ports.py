"""What intake needs from outside, by shape. ``host`` fits these; ``runtime`` joins them."""

from __future__ import annotations

from typing import Any, Protocol

from ..jobs.entry import CoreVerdict, Entry
from ..jobs.model import Job, Progress

__all__ = ["CoreValidator", "CoreVerdict", "Entry", "QueueDoor", "Runs"]


class CoreValidator(Protocol):
    """ComfyUI's ``validate_prompt``. May coerce values inside ``prompt`` in place, as core does."""

    async def validate(self, prompt_id: str, prompt: dict[str, Any], targets: list[str] | None) -> CoreVerdict:
        """Core's verdict on ``prompt``; never raises for what a client can send."""
        ...


class QueueDoor(Protocol):
    """ComfyUI's queue, with our class in it."""

    async def enter(self, entry: Entry) -> Job:
        """Put the job into the one queue and wait for its commit. Raises ``QueueFull`` or ``Conflict``; then it is not in.

        ``StoreUnavailable``: it is not in, or nobody can say yet.
        """
        ...

    def wake(self) -> None:
        """Have the worker look again: the order or the set of the waiting jobs changed."""
        ...


class Runs(Protocol):
    """What ``dispatch`` knows of the jobs that run now."""

    def progress(self, job_id: str) -> Progress | None:
        """The latest snapshot, or None when the job does not run here."""
        ...

    def running_for_s(self, job_id: str) -> float | None:
        """Seconds since the run began, or None when the job does not run here."""
        ...

    def worked_off_s(self) -> float:
        """How much of the estimated work of the jobs that run now is done already."""
        ...

    def interrupt(self, job_id: str, attempt: int) -> None:
        """Stop an attempt of the job, now or at its first sign of life: the wish cannot be lost."""
        ...
