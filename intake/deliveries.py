"""The use cases of webhooks' deliveries: list them, look at one, send it again, send all again that failed."""

from __future__ import annotations

from collections.abc import Callable

from ..jobs.awaiting import Awaiter
from ..jobs.deliveries import Delivery, DeliveryStatus
from ..jobs.errors import NotFound
from ..store.deliveries import (
    DELIVERY_PAGE_MAX,
    DeliveryFilter,
    DeliveryPage,
    DeliveryQuery,
    DeliveryStore,
    DeliveryTold,
)

__all__ = [
    "DELIVERY_PAGE_MAX",
    "DeliveryFilter",
    "DeliveryPage",
    "DeliveryQuery",
    "DeliveryService",
    "DeliveryStatus",
    "DeliveryTold",
]


class DeliveryService:
    """See the module's docstring. Raises ``StoreUnavailable`` while the outbox cannot be used."""

    def __init__(
        self, outbox: DeliveryStore, awaiter: Awaiter, clock: Callable[[], float], wake: Callable[[], None]
    ) -> None:
        """``wake`` has the outbox looked at again, for what is due now."""
        self._outbox = outbox
        self._wait = awaiter.settled
        self._clock = clock
        self._wake = wake

    async def list(self, query: DeliveryQuery) -> DeliveryPage:
        """Deliveries by filter, newest first."""
        return await self._wait(self._outbox.page(query))

    async def get(self, delivery_id: str) -> DeliveryTold:
        """One with its tries. Raises ``NotFound``."""
        told = await self._wait(self._outbox.get(delivery_id)) if delivery_id.isascii() else None
        if told is None:
            raise _unknown(delivery_id)
        return told

    async def replay(self, delivery_id: str) -> Delivery:
        """Send it again, whether it arrived or not; one that is pending is tried at once. Raises ``NotFound``."""
        asked = self._outbox.replay(delivery_id, self._clock()) if delivery_id.isascii() else None
        delivery = None if asked is None else await self._wait(asked)
        if delivery is None:
            raise _unknown(delivery_id)
        self._wake()
        return delivery

    async def replay_all(self, wanted: DeliveryFilter) -> int:
        """Send all again that the filter picks and that are over; how many."""
        replayed = await self._wait(self._outbox.replay_all(wanted, self._clock()))
        self._wake()
        return replayed


def _unknown(delivery_id: str) -> NotFound:
    return NotFound(f"There is no delivery {delivery_id[:80]}; those that are over are kept for some time only.")
