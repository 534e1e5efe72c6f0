"""One machine that runs one job after the other and holds one model: plays a trace through a line.

Owns time and the model in memory. Never idle while a job waits, never interrupts a run.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from benchmarks.sim.lines import Line
from benchmarks.sim.workload import Trace

_ROUNDING_S = 1e-9


@dataclass(slots=True)
class Run:
    """What became of a trace: by the job's number, when it started and ended. ``busy_s`` counts loading."""

    trace: Trace
    started_s: dict[int, float] = field(default_factory=dict)
    ended_s: dict[int, float] = field(default_factory=dict)
    loads: int = 0
    busy_s: float = 0.0

    def completion_s(self, number: int) -> float:
        """From arrival to end."""
        return self.ended_s[number] - self.trace[number].at_s

    def waited_s(self, number: int) -> float:
        """From arrival to start."""
        return self.started_s[number] - self.trace[number].at_s

    @property
    def jobs_per_hour(self) -> float:
        """Over the whole run, from its beginning to the last end."""
        return 3600.0 * len(self.ended_s) / max(self.ended_s.values())


def play(trace: Trace, line: Line, load_s: float = 0.0, until: str | None = None) -> Run:
    """Run everything, or until the last job of the principal ``until`` has ended. ``load_s``: to load another model."""
    run = Run(trace)
    wanted = {number for number, arrival in enumerate(trace) if until in (None, arrival.principal)}
    now_s, arrived, resident = 0.0, 0, ""
    while wanted:
        arrived = _admit(trace, line, arrived, now_s)
        number = line.take(now_s, {resident})
        if number is None:
            now_s = trace[arrived].at_s
            continue
        run.started_s[number] = now_s
        loading = trace[number].model != resident
        resident = trace[number].model
        run_s = trace[number].run_s + load_s * loading
        now_s += run_s
        arrived = _admit(trace, line, arrived, now_s)
        line.ended(number, now_s, run_s)
        run.ended_s[number] = now_s
        run.loads += loading
        run.busy_s += run_s
        wanted.discard(number)
    return run


def _admit(trace: Trace, line: Line, arrived: int, now_s: float) -> int:
    while arrived < len(trace) and trace[arrived].at_s <= now_s:
        line.arrive(arrived, trace[arrived])
        arrived += 1
    return arrived


def fair_share_s(trace: Trace) -> dict[int, float]:
    """When each job would end if all principals with work shared the machine equally at every moment; by number, from arrival.

    What fairness is measured against: no machine can do it, as it runs one job at a time. Within a principal jobs go by
    arrival, priorities count nothing and loading takes no time.
    """
    left: dict[str, deque[tuple[int, float]]] = {}
    took: dict[int, float] = {}
    now_s, arrived = 0.0, 0
    while arrived < len(trace) or left:
        ends_in_s = min((jobs[0][1] * len(left) for jobs in left.values()), default=math.inf)
        comes_in_s = trace[arrived].at_s - now_s if arrived < len(trace) else math.inf
        step_s = min(ends_in_s, comes_in_s)
        now_s += step_s
        for number in _work(left, step_s):
            took[number] = now_s - trace[number].at_s
        while arrived < len(trace) and trace[arrived].at_s <= now_s + _ROUNDING_S:
            left.setdefault(trace[arrived].principal, deque()).append((arrived, trace[arrived].run_s))
            arrived += 1
    return took


def _work(left: dict[str, deque[tuple[int, float]]], step_s: float) -> list[int]:
    """Take the step's work, in equal parts, from each principal's first job; tells which jobs ended."""
    ended: list[int] = []
    each_s = step_s / max(1, len(left))
    for principal, jobs in list(left.items()):
        number, rest_s = jobs.popleft()
        if rest_s - each_s > _ROUNDING_S:
            jobs.appendleft((number, rest_s - each_s))
            continue
        ended.append(number)
        if not jobs:
            del left[principal]
    return ended
