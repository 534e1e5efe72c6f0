"""The queue's depth for tests: limits as they are told, a pace that never changes, and ways to fill it."""

from __future__ import annotations

from expeditor.intake.admission import Limits, Pace
from expeditor.intake.depth import QueueDepth
from expeditor.intake.flow import Flow
from tests.conformance.harness import new_job


def depth(*, pace: Pace | None = None, flow: Flow | None = None, **limits: int | float) -> QueueDepth:
    """A depth with these limits, and no others; one job ends each second unless `pace` says otherwise."""
    settings: dict[str, int | float] = {"ready_below_ratio": 0.9, **limits}
    steady = pace or Pace(jobs_per_s=1.0, busy_ratio=1.0)
    return QueueDepth(Limits(**settings), lambda: steady, flow or Flow())  # type: ignore[arg-type]


def fill(queue: QueueDepth, jobs: int) -> None:
    """Take this many places for jobs whose commit is still to come."""
    for number in range(jobs):
        queue.enter(new_job(f"filling-{number}"), refusable=False)
