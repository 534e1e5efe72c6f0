"""How long to wait before a try again: exponential back-off with full jitter.

Pure; randomness is handed in. After M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015:
``sleep = random_between(0, min(cap, base * 2 ** attempt))``. Full jitter spreads those who failed together over the whole
time, so that they do not come back together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_LARGEST_EXPONENT = 1_000
"""2 to this power is still a float."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """``base_s`` is the longest wait after the first failure; it doubles with each further one, up to ``max_s``."""

    base_s: float = 2.0
    max_s: float = 300.0

    def longest_s(self, failures: int) -> float:
        """The longest wait after so many failures (from 1)."""
        exponent = min(max(failures - 1, 0), _LARGEST_EXPONENT)
        return min(self.base_s * 2.0**exponent, self.max_s)

    def delay_s(self, failures: int, rng: Callable[[], float]) -> float:
        """The wait after so many failures (from 1). ``rng`` gives evenly spread numbers from 0 to 1."""
        return rng() * self.longest_s(failures)
