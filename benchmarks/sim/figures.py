"""From runs to numbers: completion, worst wait, Jain's fairness index. Pure; times in seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles, stdev

from benchmarks.sim import workload
from benchmarks.sim.machine import Run
from benchmarks.sim.workload import Arrival

LOW, HIGH = 1, 8


@dataclass(frozen=True, slots=True)
class Completion:
    """From arrival to end, over a group of jobs."""

    jobs: int
    mean_s: float
    p95_s: float


def completion(runs: Iterable[Run], of: Callable[[Arrival], bool]) -> Completion:
    """Over the jobs of all runs that belong to the group."""
    took_s = [run.completion_s(number) for run in runs for number in run.ended_s if of(run.trace[number])]
    p95_s = quantiles(took_s, n=20)[-1] if len(took_s) > 1 else took_s[0]
    return Completion(len(took_s), fmean(took_s), p95_s)


@dataclass(frozen=True, slots=True)
class Measured:
    """An estimate from traces; 95 % of such estimates lie within ``margin`` of the truth."""

    value: float
    margin: float


def mean(values: Sequence[float]) -> Measured:
    """Of one value per trace."""
    return Measured(fmean(values), 1.96 * stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.inf)


def sooner(runs: Sequence[Run], than: Sequence[Run], of: Callable[[Arrival], bool]) -> Measured:
    """How much sooner the group's jobs end in ``runs``, as a share of what they take in ``than``; over all traces.

    Traces are drawn apart from each other, the jobs of one are not.
    """
    sums = [
        (sum(ours.completion_s(n) for n in mine), sum(other.completion_s(n) for n in mine))
        for ours, other in zip(runs, than, strict=True)
        if (mine := [n for n in ours.ended_s if of(ours.trace[n])])
    ]
    whole = sum(other for _, other in sums)
    ratio = sum(ours for ours, _ in sums) / whole
    # The usual error of a ratio of sums (W. Cochran, "Sampling Techniques", 1977, 6.13).
    rest = sum((ours - ratio * other) ** 2 for ours, other in sums)
    spread = math.sqrt(rest * len(sums) / max(1, len(sums) - 1)) / whole
    return Measured(1 - ratio, 1.96 * spread)


def sooner_at_most(load: float) -> float:
    """What an order gives high priorities in the long run that always prefers them and neither interrupts runs nor looks at their length.

    Jobs come one by one by chance (A. Cobham, "Priority assignment in waiting line problems", 1954).
    """
    mean_s = workload.MEAN_RUN_S
    left_s = load / mean_s * workload.MEAN_SQUARE_S2 / 2  # of the run that a job finds on the machine
    high = sum(share for level, share in workload.PRIORITIES.items() if level >= HIGH)
    return 1 - (mean_s + left_s / (1 - load * high)) / (mean_s + left_s / (1 - load))


def worst_wait_s(run: Run, priority: int = LOW) -> float:
    """The longest that a job of this priority waited for its start."""
    return max(run.waited_s(number) for number in run.started_s if run.trace[number].priority == priority)


def jain(shares: Sequence[float]) -> float:
    """1 when all are equal, 1/n when one has everything (R. Jain, D. Chiu, W. Hawe, 1984)."""
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


def fairness(run: Run, fair_s: dict[int, float]) -> float:
    """Jain's index over the principals; each one's share is its mean completion at equal shares over the one it got.

    Jobs that a shortened run left unfinished count as if they had ended with it, which flatters the run.
    """
    end_s = max(run.ended_s.values())
    shares: list[float] = []
    for principal in sorted({arrival.principal for arrival in run.trace}):
        jobs = [n for n, arrival in enumerate(run.trace) if arrival.principal == principal and arrival.at_s < end_s]
        got_s = fmean(run.ended_s.get(n, end_s) - run.trace[n].at_s for n in jobs)
        shares.append(fmean(min(fair_s[n], end_s - run.trace[n].at_s) for n in jobs) / got_s)
    return jain(shares)
