"""From runs to numbers: completion, worst wait, Jain's fairness index. Pure; times in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles

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
