"""The time that everything stored is measured by: seconds since the epoch that never step.

Owns one reading of the wall clock, at the start, and a count from there on that goes on while the machine sleeps. Setting
the wall clock therefore moves no back-off, expiry or order until the next start. Not owned: which times are stored.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger("expeditor.runtime")

STEP_S = 5.0
"""How far the wall clock may be from the count before it is said to have been set."""


def steady_s() -> float:
    """Seconds since some moment, never set back; time asleep counts where the system can say so (Linux)."""
    boot_time: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_time is None else time.clock_gettime(boot_time)


class SteadyClock:
    """A ``store.base.Clock``; safe from any thread, costs a microsecond."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = steady_s) -> None:
        """``wall`` is believed once, now; ``monotonic`` counts from then on."""
        self._wall = wall
        self._monotonic = monotonic
        self._epoch_s = wall() - monotonic()
        self._told = False

    def __call__(self) -> float:
        """Seconds since the epoch, as if nobody had set the clock since the start."""
        now_s = self._epoch_s + self._monotonic()
        if not self._told and abs(self._wall() - now_s) > STEP_S:
            self._told = True
            log.warning(
                "The system clock was set by %+.0f s. Times of jobs go on steadily; they follow the clock from the next start on.",
                self._wall() - now_s,
                extra={"event": "clock.stepped"},
            )
        return now_s
