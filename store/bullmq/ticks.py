"""The rank of a job in BullMQ: its score, a float, as one of BullMQ's two million whole numbers.

Pure arithmetic. The exact order is ``jobs.ordering``'s; ranks follow it to one tick, for what looks at BullMQ from outside.
A rank counts from the *epoch*, a score that is kept beside the queue and moved when ranks would leave their range.
"""

from __future__ import annotations

TICK = 1.0
"""Virtual seconds between two ranks."""

RANK_MIN = 1
RANK_MAX = 2_097_151
"""BullMQ's largest priority whose jobs it keeps in the order of arrival."""

HEADROOM = 10_000
"""How many ranks a new epoch leaves free before the first job, for those that will be put before it."""


def rank(score: float, epoch: float) -> int:
    """The rank of a score: never falls as the score grows; what is out of range gets the first or the last."""
    ticks = (score - epoch) / TICK
    return RANK_MIN if ticks <= 0 else min(RANK_MAX, RANK_MIN + int(min(ticks, RANK_MAX)))


def epoch_for(lowest_score: float) -> float:
    """The epoch of a line that begins with this score."""
    return lowest_score - HEADROOM * TICK


def fits(score: float, epoch: float) -> bool:
    """Whether a score has a rank of its own with this epoch, neither before nor behind the range."""
    return 0 < (score - epoch) / TICK < RANK_MAX - RANK_MIN
