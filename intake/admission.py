"""May one more job wait: the rules of the queue's limits. Pure; knows neither who asks nor what waits.

Owns when a limit refuses, when it takes jobs again, how long a refused client is told to stay away, and from which depth on
the server says that it is not ready. Not owned: what waits now (``depth``), and the answer's form (``routes.errors``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..jobs.estimate import DEFAULT_ESTIMATE_S

REOPENS_BELOW = 0.95
"""A limit that was reached refuses until less than this share of it is used: a full queue is not asked for every single place."""
RETRY_MIN_S = 1
RETRY_MAX_S = 300
LEAST_BUSY_RATIO = 0.05
"""A machine that was hardly busy says little about its speed: it counts as if it had been busy for this share of the time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings that decide; 0 means no limit. ``ready_below_ratio`` is above 0 and at most 1."""

    jobs: int = 0
    jobs_per_principal: int = 0
    size_bytes: int = 0
    ready_below_ratio: float = 0.9


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast jobs end: per second over a window, idle time included, and the share of that window with work."""

    jobs_per_s: float
    busy_ratio: float


@dataclass(frozen=True, slots=True)
class Meter:
    """One limit as a job meets it: ``most`` may be used, ``used`` is, ``wanted`` more is asked for.

    ``closed``: the limit was reached and has not been low enough since.
    """

    most: int
    used: int
    wanted: int
    closed: bool = False


def refuses(meter: Meter) -> bool:
    """Whether the job must stay outside."""
    if not meter.most:
        return False
    return meter.used + meter.wanted > meter.most or (meter.closed and stays_closed(meter.used, meter.most))


def stays_closed(used: int, most: int) -> bool:
    """Whether a limit that was reached goes on refusing."""
    return used >= REOPENS_BELOW * most


def surplus(meter: Meter) -> int:
    """How much must go before the refused job gets in; at least 1."""
    over = meter.used + meter.wanted - meter.most
    if stays_closed(meter.used, meter.most):
        over = max(over, meter.used - (math.ceil(REOPENS_BELOW * meter.most) - 1))
    return max(over, 1)


def retry_after_s(jobs: float, pace: Pace) -> int:
    """Whole seconds until about ``jobs`` jobs have gone, from ``RETRY_MIN_S`` to ``RETRY_MAX_S``.

    The speed is that of a machine at work: idle time does not slow it down. Without a measurement each job counts as
    ``DEFAULT_ESTIMATE_S``.
    """
    if pace.jobs_per_s > 0:
        seconds = jobs * min(max(pace.busy_ratio, LEAST_BUSY_RATIO), 1.0) / pace.jobs_per_s
    else:
        seconds = jobs * DEFAULT_ESTIMATE_S
    return math.ceil(min(max(seconds, RETRY_MIN_S), RETRY_MAX_S))


def too_full(used: int, most: int, ready_below_ratio: float) -> bool:
    """Whether so much of a limit is used that new work should go elsewhere; an empty queue never is."""
    return bool(most) and used >= max(math.floor(ready_below_ratio * most), 1)
