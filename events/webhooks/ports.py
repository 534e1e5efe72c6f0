"""What webhooks need of other rooms, by shape; ``runtime`` joins them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from typing import Protocol

from ...jobs.deliveries import Delivery, DeliveryAttempt, NewDelivery, Verdict
from ...jobs.events import LoggedEvent
from ...jobs.log import LogPage, LogQuery
from ...jobs.model import Job

Body = Callable[[LoggedEvent, Job], str]
"""The JSON text that tells an event and its job; bounded in size."""


class Log(Protocol):
    """The queue's store, as far as it is read here."""

    def events(self, query: LogQuery) -> Future[LogPage]:
        """One page of the event log."""
        ...

    def last_position(self) -> Future[int]:
        """The position of the newest event."""
        ...

    def get(self, job_id: str) -> Future[Job | None]:
        """One job, or None."""
        ...


class Filled(Protocol):
    """The outbox, as the one who fills it sees it."""

    def cursor(self) -> Future[int]:
        """Up to which position the log was read."""
        ...

    def add(self, deliveries: Sequence[NewDelivery], cursor: int, at_s: float) -> Future[int]:
        """Keep deliveries and the cursor in one commit; how many were new."""
        ...


class Outbox(Protocol):
    """The outbox, as the one who empties it sees it."""

    def due(
        self, now_s: float, closed: AbstractSet[str], busy: AbstractSet[str], per_place: int
    ) -> Future[tuple[Delivery, ...]]:
        """What may be tried now."""
        ...

    def settle(self, delivery_id: str, attempt: DeliveryAttempt, verdict: Verdict) -> Future[Delivery | None]:
        """Note a try and what follows."""
        ...


class Counted(Protocol):
    """Where tries are counted."""

    def webhook_delivery(self, outcome: str) -> None:
        """One try ended: ``delivered``, ``retry``, ``failed`` or ``gone``."""
        ...
