"""Made-up work for the simulator: who asks for what, and when. Everything follows from the seed.

Owns the shape of the work alone: no order, no machine. Times are seconds from the start of a run.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

KINDS: Mapping[str, tuple[float, float]] = {"small": (4.0, 0.50), "middle": (9.0, 0.32), "large": (23.0, 0.18)}
"""Kinds of prompts: the mean run in seconds and the share of all jobs. One kind is one signature to the store."""

RUN_S: Mapping[str, float] = {kind: run_s for kind, (run_s, _) in KINDS.items()}
MEAN_RUN_S = sum(run_s * share for run_s, share in KINDS.values())
SPREAD = 0.15
"""Runs of one kind differ by about this much (the sigma of a lognormal)."""

MEAN_SQUARE_S2 = sum(run_s**2 * share for run_s, share in KINDS.values()) * math.exp(SPREAD**2)

PRIORITIES: Mapping[int, float] = {1: 0.15, 3: 0.60, 5: 0.10, 8: 0.10, 10: 0.05}
USERS = ("ada", "bob", "eve", "kay", "lin")
LONGEST_BURST = 20


@dataclass(frozen=True, slots=True)
class Arrival:
    """One job as it comes in. ``run_s`` is the time on the machine without loading its model, known to nobody before."""

    at_s: float
    principal: str
    priority: int
    kind: str
    run_s: float
    model: str = "one"


Trace = tuple[Arrival, ...]


def poisson(seed: int, jobs: int, load: float) -> Trace:
    """Jobs that come one by one, each by chance; ``load`` is the share of the time that the machine is wanted."""
    rng = random.Random(f"poisson {seed}")
    at_s = 0.0
    trace: list[Arrival] = []
    for _ in range(jobs):
        at_s += rng.expovariate(load / MEAN_RUN_S)
        trace.append(_arrival(rng, at_s, rng.choice(USERS), _drawn(rng, PRIORITIES)))
    return tuple(trace)


def bursts(seed: int, jobs: int, load: float) -> Trace:
    """Jobs that come 1 to ``LONGEST_BURST`` at a time: one user, one priority, one kind, as when somebody queues variations."""
    rng = random.Random(f"bursts {seed}")
    at_s = 0.0
    trace: list[Arrival] = []
    while len(trace) < jobs:
        at_s += rng.expovariate(load / MEAN_RUN_S / ((1 + LONGEST_BURST) / 2))
        user, priority, kind = rng.choice(USERS), _drawn(rng, PRIORITIES), _kind(rng)
        count = min(rng.randint(1, LONGEST_BURST), jobs - len(trace))
        trace.extend(_arrival(rng, at_s, user, priority, kind) for _ in range(count))
    return tuple(trace)


def greedy(seed: int, jobs: int, load: float, priority: int = 3) -> Trace:
    """Four users who come by chance with ``load`` between them, priority 3, and one who always has hundreds of jobs in line."""
    rng = random.Random(f"greedy {seed}")
    at_s, next_batch_s, batch = 0.0, 0.0, 200
    trace: list[Arrival] = []
    for _ in range(jobs):
        at_s += rng.expovariate(load / MEAN_RUN_S)
        while next_batch_s <= at_s:
            trace.extend(_arrival(rng, next_batch_s, "greedy", priority) for _ in range(batch))
            next_batch_s += batch * MEAN_RUN_S
        trace.append(_arrival(rng, at_s, rng.choice(USERS[:4]), 3))
    return tuple(trace)


def newcomer(seed: int, jobs: int, backlog_s: float) -> Trace:
    """Two users with ``backlog_s`` of work each in line from the start; somebody new asks for ``jobs`` half an hour to an hour later."""
    rng = random.Random(f"newcomer {seed}")
    pairs = round(backlog_s / MEAN_RUN_S)
    trace = [_arrival(rng, 0.0, user, 3) for _ in range(pairs) for user in USERS[:2]]
    at_s = rng.uniform(1800.0, 3600.0)
    trace.extend(_arrival(rng, at_s, "newcomer", 3) for _ in range(jobs))
    return tuple(trace)


def two_models(jobs: int, run_s: float) -> Trace:
    """One user who queues ABAB all at once, every run ``run_s`` long."""
    return tuple(Arrival(0.0, "ada", 3, "same", run_s, model) for model in _alternating(jobs))


def two_models_by_chance(seed: int, jobs: int, load: float) -> Trace:
    """Mixed users, kinds and priorities by chance; every second job wants the other model."""
    one = poisson(seed, jobs, load)
    pairs = zip(one, _alternating(jobs), strict=True)
    return tuple(
        Arrival(each.at_s, each.principal, each.priority, f"{each.kind} {model}", each.run_s, model)
        for each, model in pairs
    )


def _alternating(jobs: int) -> Iterator[str]:
    return ("AB"[number % 2] for number in range(jobs))


def _arrival(rng: random.Random, at_s: float, user: str, priority: int, kind: str | None = None) -> Arrival:
    kind = kind or _kind(rng)
    run_s = KINDS[kind][0] * rng.lognormvariate(-SPREAD * SPREAD / 2, SPREAD)
    return Arrival(at_s, user, priority, kind, run_s)


def _kind(rng: random.Random) -> str:
    return rng.choices(list(KINDS), [share for _, share in KINDS.values()])[0]


def _drawn(rng: random.Random, shares: Mapping[int, float]) -> int:
    return rng.choices(list(shares), list(shares.values()))[0]
