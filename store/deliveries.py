"""The outbox's contract: deliveries of webhooks that outlive the process, and how far the event log was turned into them.

Guarantees: verbs may be called from any thread, never wait on the disk themselves, and take effect in the order called; a done
future of a writing verb means committed; a verb that raises has changed nothing; ``StoreUnavailable`` when the file cannot be used.
What was added is told at least once: only ``settle`` and ``prune`` end a delivery.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from ..jobs.deliveries import Delivery, DeliveryAttempt, DeliveryStatus, NewDelivery, Verdict
from .base import StoreState

DELIVERY_PAGE_MAX = 500
DUE_MAX = 256
"""The most deliveries, which come with their bodies, that ``due`` gives at once."""
ATTEMPTS_KEPT = 50
"""The most tries kept of one delivery, the newest ones."""


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries; None picks all. ``place`` is host and port, or the host alone."""

    status: DeliveryStatus | None = None
    job_id: str | None = None
    event_type: str | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryQuery:
    """One page, newest first: deliveries of a ``seq`` below ``before`` (None: from the newest); ``limit`` up to ``DELIVERY_PAGE_MAX``."""

    wanted: DeliveryFilter = DeliveryFilter()
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """``before``: for the next page; None at the end."""

    deliveries: tuple[Delivery, ...]
    before: int | None


@dataclass(frozen=True, slots=True)
class DeliveryTold:
    """One delivery with its tries, oldest first."""

    delivery: Delivery
    attempts: tuple[DeliveryAttempt, ...]


@dataclass(frozen=True, slots=True)
class KeptDeliveries:
    """How long what is over is kept: seconds since its end, and how many at most; 0: no bound."""

    delivered_s: float
    failed_s: float
    count: int


class DeliveryStore(Protocol):
    """See the module's docstring for what holds for all verbs."""

    def open(self) -> bool:
        """Make it usable; blocks. True when a damaged file was set aside and a new one begun. Raises ``StoreUnavailable``."""
        ...

    def close(self) -> None:
        """Do what was asked and let go of the file; blocks; idempotent."""
        ...

    def state(self) -> StoreState:
        """How it is; ``error`` says why it could not be opened or last written. No I/O."""
        ...

    def cursor(self) -> Future[int]:
        """Up to which position the event log has been turned into deliveries; 0 at first."""
        ...

    def add(self, deliveries: Sequence[NewDelivery], cursor: int, at_s: float) -> Future[int]:
        """Keep new deliveries and the cursor, in one commit. Gives how many were new: known ids, and those for a job's target
        that said it is gone, are passed over. One whose job still waits to tell the same URL of something earlier waits for that.
        """
        ...

    def due(
        self, now_s: float, closed: AbstractSet[str], busy: AbstractSet[str], per_place: int
    ) -> Future[tuple[Delivery, ...]]:
        """What may be tried now: at most ``per_place`` deliveries for each place and ``DUE_MAX`` in all, those due longest first; not
        those of ``closed`` places, not the ids ``busy``."""
        ...

    def settle(self, delivery_id: str, attempt: DeliveryAttempt, verdict: Verdict) -> Future[Delivery | None]:
        """Note a try and what follows. When that is its end, what waited for it may go. ``gone`` fails also what else waits for
        the same target of the job, where the job named it. None for a delivery that was pruned meanwhile."""
        ...

    def get(self, delivery_id: str) -> Future[DeliveryTold | None]:
        """One delivery, or None."""
        ...

    def page(self, query: DeliveryQuery) -> Future[DeliveryPage]:
        """Deliveries by filter."""
        ...

    def replay(self, delivery_id: str, now_s: float) -> Future[Delivery | None]:
        """Send it again, from now on with a fresh count of tries; one that is pending is tried at once. None if unknown."""
        ...

    def replay_all(self, wanted: DeliveryFilter, now_s: float) -> Future[int]:
        """The same for all that a filter picks, those that are pending apart. How many."""
        ...

    def prune(self, kept: KeptDeliveries, now_s: float) -> Future[int]:
        """Forget what is over and beyond what is kept, some at a time. How many."""
        ...
