"""`python benchmarks/cluster_sim.py [--quick] [--write]`: where a shared queue bends, measured here, reckoned beyond.

Measured: what one job costs Redis (commands, processor time, bytes), alone and with members that only listen; how fast 1 to 16 fake
executors, each a process with the real store, get through jobs that take no time. Reckoned from these: Redis' load for 1 to 1,000
instances and run times of a second to minutes. Prints; `--write` puts the tables into docs/scaling.md. Asserts nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass

import compare

LISTENERS = (0, 1, 4, 8)
EXECUTORS = (1, 2, 4, 8, 16)
INSTANCES = (1, 10, 100, 1000)
RUNS_S = (1.0, 10.0, 60.0)
FULL = 0.7
"""Of one core: Redis runs scripts on one, and beyond this they queue up behind each other."""


@dataclass(frozen=True, slots=True)
class Model:
    """Of one job, in seconds of Redis' core and in bytes from Redis: ``alone``, and more with each other member that hears of it."""

    alone_s: float
    each_s: float
    alone_bytes: float
    each_bytes: float

    def load(self, instances: int, run_s: float) -> float:
        """The share of Redis' core that busy instances take: every instance hears of every job."""
        return instances / run_s * (self.alone_s + (instances - 1) * self.each_s)

    def megabytes_per_s(self, instances: int, run_s: float) -> float:
        """What Redis sends."""
        return instances / run_s * (self.alone_bytes + (instances - 1) * self.each_bytes) / 1e6

    def bend(self, run_s: float) -> int:
        """The largest number of instances that one Redis carries."""
        count = 1
        while self.load(count + 1, run_s) <= FULL and count < 100_000:
            count += 1
        return count


def fitted(listeners: list[int], values: list[float]) -> tuple[float, float]:
    """A straight line by least squares: the value without listeners, and what each adds."""
    count, mean_x, mean_y = len(listeners), sum(listeners) / len(listeners), sum(values) / len(values)
    spread = sum((x - mean_x) ** 2 for x in listeners)
    slope = (
        sum((x - mean_x) * (y - mean_y) for x, y in zip(listeners, values, strict=True)) / spread if count > 1 else 0.0
    )
    return mean_y - slope * mean_x, slope


def measured(*, quick: bool) -> tuple[Model, list[str], list[str]]:
    """The model, and the tables that it comes from."""
    from benchmarks import shared_store as shared  # noqa: PLC0415 - importable once the paths are set
    from tests.support.redis_server import RedisServer  # noqa: PLC0415

    costs = [
        "| members that listen | commands | of these in scripts' calls | Redis' processor | in scripts | to Redis | from Redis |"
    ]
    costs.append("|---|---|---|---|---|---|---|")
    rates = ["| fake executors | jobs/s | of one executor's | |", "|---|---|---|---|"]
    with RedisServer() as server:
        seen = [shared.cost(server, 100 if quick else 400, count) for count in LISTENERS]
        for one in seen:
            calls, scripts = sum(one.calls.values()), one.calls.get("evalsha", 0.0)
            cells = (
                f"{one.listeners}",
                f"{calls:.0f}",
                f"{scripts:.1f}",
                f"{1e6 * one.redis_s:.0f} µs",
                f"{1e6 * one.lua_s:.0f} µs",
            )
            costs.append(f"| {' | '.join(cells)} | {one.received_bytes / 1e3:.1f} kB | {one.sent_bytes / 1e3:.1f} kB |")
        first = 0.0
        for count in EXECUTORS[: 4 if quick else None]:
            found = shared.executed(server, count, (200 if quick else 600) // count, 0.0)
            first = first or found.rate
            rates.append(
                f"| {count} | {found.rate:.0f} | {found.rate / first:.2f} × | median claim {1e3 * found.between_s:.1f} ms |"
            )
    whom = [one.listeners for one in seen]
    alone_s, each_s = fitted(whom, [one.redis_s for one in seen])
    alone_bytes, each_bytes = fitted(whom, [one.sent_bytes for one in seen])
    return Model(alone_s, each_s, alone_bytes, each_bytes), costs, rates


def reckoned(model: Model) -> list[str]:
    """Load by number and run time."""
    head = " | ".join(f"{run_s:g} s" for run_s in RUNS_S)
    table = [f"| busy instances; jobs of | {head} |", "|---|" + "---|" * len(RUNS_S)]
    for count in INSTANCES:
        cells = [_cell(model, count, run_s) for run_s in RUNS_S]
        table.append(f"| {count:,} | {' | '.join(cells)} |")
    bends = " | ".join(f"{model.bend(run_s):,}" for run_s in RUNS_S)
    table.append(f"| **most that one Redis carries** ({100 * FULL:.0f} % of its core) | {bends} |")
    return table


def _cell(model: Model, count: int, run_s: float) -> str:
    load = model.load(count, run_s)
    text = f"{100 * load:.1f} %" if load < 1 else "too much"
    return f"{text}, {model.megabytes_per_s(count, run_s):.1f} MB/s"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Where a shared queue bends.")
    parser.add_argument("--quick", action="store_true", help="fewer jobs")
    parser.add_argument("--write", action="store_true", help="also write docs/scaling.md")
    options = parser.parse_args()
    compare.make_importable()
    compare.use_development_python()
    from benchmarks import cluster, report  # noqa: PLC0415

    loaded = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    model, costs, rates = measured(quick=options.quick)
    shown = f"`python benchmarks/cluster_sim.py{' --quick' if options.quick else ''}` on {report.machine()}"
    head = f"{shown}; load average before: {loaded:.1f}; {when} UTC.\n"
    said = (
        f"Fitted: a job takes Redis {1e6 * model.alone_s:.0f} µs, and {1e6 * model.each_s:.0f} µs more for every other member; it sends "
        f"{model.alone_bytes / 1e3:.1f} kB, and {model.each_bytes / 1e3:.1f} kB more.\n"
    )
    parts = {
        "sim-cost": [head, *costs],
        "sim-rate": [head, *rates],
        "sim-model": [said, *reckoned(model)],
    }
    for part, text in parts.items():
        sys.stdout.write("\n".join(text) + "\n\n")
        if options.write:
            cluster.write(part, "\n".join(text) + "\n")


if __name__ == "__main__":
    main()
