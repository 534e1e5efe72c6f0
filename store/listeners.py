"""Whom a store tells, beside the publisher of its events: of what others do to a shared queue, and of how it works itself.

Owns the two contracts only; who fits them is joined in ``runtime``.
"""

from __future__ import annotations

from typing import Protocol

from ..jobs.events import JobEvent


class Neighbours(Protocol):
    """Hears what other instances do to the queue that a store shares with them. Called on a thread of the store; quick, never raises."""

    def heard(self, events: tuple[JobEvent, ...]) -> None:
        """What others committed: in the order of ``position`` among all that is published, the store's own events included.

        Each job is as it stands when it was looked at, which may be later than the event."""
        ...

    def missed(self, after: int, until: int) -> None:
        """Events between these positions were not heard (the shared store was away, or they were too many): look into the log."""
        ...

    def waiting(self) -> None:
        """Something may be claimable now that was not."""
        ...

    def lease_lost(self, job_id: str, attempt: int) -> None:
        """This attempt of a job that runs here is not this instance's any more: its result will be refused, so stop it."""
        ...


class StoreObserver(Protocol):
    """Hears how the store works, for metrics. Called from the store's own thread; must be quick and never raise."""

    def committed(self, duration_s: float, verbs: int) -> None:
        """One commit of ``verbs`` verbs took ``duration_s``."""
        ...
