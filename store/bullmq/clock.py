"""The time of the shared queue: Redis' own, so that instances whose clocks are set differently agree.

Owns how it is followed: measured now and then, counted steadily between. Not owned: who measures (``connections``).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger("expeditor.store")

STEP_S = 5.0
"""A shared clock that is set by more than this is told of in the log."""
SLOWING = 0.5
"""The rate at which the count goes on where the shared clock was set back: it never stands still, and never goes back."""


class RedisClock:
    """A ``store.base.Clock``; safe from any thread. Before the first measurement it gives this machine's time."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        """``wall`` is believed until Redis was asked; ``steady`` counts seconds and is never set."""
        self._steady = steady
        self._lock = threading.Lock()
        self._measured = False
        self._offset_s = wall() - steady()
        self._excess_s = 0.0  # how much the count is ahead of the shared clock
        self._since_s = steady()

    def __call__(self) -> float:
        """Seconds since the epoch by the shared clock."""
        with self._lock:
            return self._now(self._steady())

    def steady_s(self) -> float:
        """What ``measured`` wants its moments by."""
        return self._steady()

    def measured(self, redis_s: float, asked_s: float, answered_s: float) -> None:
        """Redis said ``redis_s`` to a question that was asked and answered at these moments of ``steady_s``."""
        offset_s = redis_s - (asked_s + answered_s) / 2
        with self._lock:
            moment_s = self._steady()
            change_s, ahead_s = offset_s - self._offset_s, self._now(moment_s) - (moment_s + offset_s)
            first, self._measured = not self._measured, True
            # Nothing was stored by the time before the first measurement, so it may go back then and at no other time.
            self._excess_s = 0.0 if first else max(ahead_s, 0.0)
            self._offset_s, self._since_s = offset_s, moment_s
        if abs(change_s) > STEP_S:
            self._tell(change_s, first)

    def _now(self, moment_s: float) -> float:
        left_s = max(self._excess_s - SLOWING * (moment_s - self._since_s), 0.0)
        return moment_s + self._offset_s + left_s

    def _tell(self, change_s: float, first: bool) -> None:
        if first:
            log.warning(
                "This machine's clock differs from Redis' by %+.0f s; the queue goes by Redis'.",
                -change_s,
                extra={"event": "clock.differs"},
            )
        else:
            log.warning(
                "Redis' clock was set by %+.0f s; the queue's time follows it%s.",
                change_s,
                "" if change_s > 0 else " slowly, as it never goes back",
                extra={"event": "clock.stepped"},
            )
