"""What follows one try of a delivery: delivered, again later, or over. Pure; randomness is handed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...jobs.deliveries import DeliveryStatus, Verdict

JITTER = 0.2
"""A wait is so much shorter or longer than the plan says, so that those who failed together do not come back together."""
LONGEST_DELAY_S = 43_200.0
"""The most that a target's ``Retry-After`` is given."""
GONE = 410
_MAY_SAY_WHEN = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one try. ``code`` is None when no answer came; ``error`` is None when it was taken.

    ``reachable``: somebody answered, so what failed is this message and not its host.
    """

    code: int | None = None
    error: str | None = None
    retry_after_s: float | None = None
    reachable: bool = True


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """``delays_s``: the waits after the first, second ... failed try; after the last of them it is over."""

    delays_s: Sequence[float]
    rng: Callable[[], float]

    def verdict(self, answer: Answer, tries: int, now_s: float) -> Verdict:
        """What follows the try number ``tries`` (from 1, since the last replay)."""
        if answer.error is None:
            return Verdict(DeliveryStatus.DELIVERED)
        if answer.code == GONE:
            return Verdict(DeliveryStatus.FAILED, gone=True)
        if tries > len(self.delays_s):
            return Verdict(DeliveryStatus.FAILED)
        delay_s = self.delays_s[tries - 1] * (1 - JITTER + 2 * JITTER * self.rng())
        if answer.code in _MAY_SAY_WHEN and answer.retry_after_s is not None:
            delay_s = max(delay_s, min(answer.retry_after_s, LONGEST_DELAY_S))
        return Verdict(DeliveryStatus.PENDING, now_s + delay_s)


def retry_after_of(header: str | None) -> float | None:
    """Seconds of a ``Retry-After``; None for a date or nonsense."""
    text = (header or "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
