"""Who hears committed events inside this process. Bounded by being direct: subscribers are called in order and must be quick."""

from __future__ import annotations

import logging

from ..jobs.events import JobEvent, Publisher

log = logging.getLogger("expeditor.events")


class Bus:
    """Fits ``jobs.events.Publisher``; hands every event on to all subscribers. A subscriber that fails is logged, not fatal."""

    def __init__(self, subscribers: tuple[Publisher, ...] = ()) -> None:
        """``subscribers`` hear events in this order."""
        self._subscribers = subscribers

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """Tell everybody."""
        for subscriber in self._subscribers:
            try:
                subscriber.publish(events)
            except Exception:  # noqa: BLE001 - one listener must not keep the store from going on
                log.warning("A subscriber failed", exc_info=True, extra={"event": "bus.failed"})
