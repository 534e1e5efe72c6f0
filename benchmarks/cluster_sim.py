"""`python benchmarks/cluster_sim.py [--quick] [--million] [--write]`: where a shared queue bends, measured here, reckoned beyond.

Measured: what one job costs Redis (commands, processor time, bytes), alone, with members that only listen, and with up to 1,000 ears
that hear each word as members do; how 1, 10 and 100 real members in few processes keep up with jobs that sleep; how fast 1 to 16
fake executors, each a process, get through jobs that take no time. `--million`: a million waiting jobs instead, which takes 5 GB and ten
minutes. Reckoned from these: Redis' load for 1 to 1,000 instances and run times of a second to minutes. Prints; `--write` puts the
tables into docs/scaling.md. Asserts nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import compare

compare.make_importable()
compare.use_development_python()

from benchmarks import cluster, report  # noqa: E402 - importable from here on
from benchmarks import shared_store as shared  # noqa: E402 - importable from here on
from benchmarks.shared_store import Cost  # noqa: E402 - importable from here on
from tests.support.redis_server import RedisServer  # noqa: E402 - importable from here on

LISTENERS = (0, 1, 4, 8)
EARS = (10, 100, 1000)
CROWDS = ((1, 10, 1.0), (10, 6, 2.0), (100, 3, 20.0))
"""Members, jobs of each, and how long one sleeps."""
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


def slope(listeners: list[int], values: list[float]) -> float:
    """What each listener adds to the first value, which is without any: by least squares."""
    more = [value - values[0] for value in values]
    return sum(x * y for x, y in zip(listeners, more, strict=True)) / sum(x * x for x in listeners)


def cost_table(seen: list[tuple[str, Cost]]) -> list[str]:
    """What a job costs Redis."""
    table = ["| that listen | commands | of these scripts | Redis' processor | in scripts | to Redis | from Redis |"]
    table.append("|---|---|---|---|---|---|---|")
    for what, one in seen:
        calls, scripts = sum(one.calls.values()), one.calls.get("evalsha", 0.0)
        cells = (what, f"{calls:.0f}", f"{scripts:.1f}", f"{1e6 * one.redis_s:.0f} µs", f"{1e6 * one.lua_s:.0f} µs")
        table.append(f"| {' | '.join(cells)} | {one.received_bytes / 1e3:.1f} kB | {one.sent_bytes / 1e3:.1f} kB |")
    return table


def measured_costs(server: RedisServer, *, quick: bool) -> tuple[Model, list[str]]:
    """The model, and the table that it comes from: the ears are what is fitted, the members show what they stand for."""
    jobs = 100 if quick else 400
    members = [(count, shared.cost(server, jobs, count)) for count in LISTENERS]
    heard = [members[0], *((count, shared.cost(server, jobs, count, real=False)) for count in EARS)]
    table = cost_table(
        [(f"{count} members", one) for count, one in members] + [(f"{count:,} ears", one) for count, one in heard[1:]]
    )
    whom, alone = [count for count, _ in heard], heard[0][1]
    each_s = slope(whom, [one.redis_s for _, one in heard])
    each_bytes = slope(whom, [one.sent_bytes for _, one in heard])
    return Model(alone.redis_s, each_s, alone.sent_bytes, each_bytes), table


def measured_crowds(server: RedisServer, model: Model) -> list[str]:
    """Real members that sleep, beside what the model says of Redis."""
    table = [
        "| members | jobs of | of what the sleeping allows | from a sleep to the next | Redis' core | by the model |"
    ]
    table.append("|---|---|---|---|---|---|")
    for count, each, run_s in CROWDS:
        one = shared.crowded(server, count, each, run_s)
        cells = (f"{count}", f"{run_s:g} s", f"{100 * one.share:.1f} %", f"{1e3 * one.between_s:.1f} ms")
        table.append(f"| {' | '.join(cells)} | {100 * one.redis_load:.1f} % | {100 * model.load(count, run_s):.1f} % |")
    return table


def measured_rates(server: RedisServer, *, quick: bool) -> list[str]:
    """Executors that want the next job at once, all of them."""
    table = ["| fake executors | jobs/s | of one executor's | |", "|---|---|---|---|"]
    first = 0.0
    for count in EXECUTORS[: 4 if quick else None]:
        found = shared.executed(server, count, (200 if quick else 600) // count, 0.0)
        first = first or found.rate
        cells = (
            f"{count}",
            f"{found.rate:.0f}",
            f"{found.rate / first:.2f} ×",
            f"median claim {1e3 * found.between_s:.1f} ms",
        )
        table.append(f"| {' | '.join(cells)} |")
    return table


def million(server: RedisServer, jobs: int = 1_000_000) -> list[str]:
    """That many waiting jobs."""
    table = ["| what | found | aim |", "|---|---|---|"]
    return table + [f"| {' | '.join(line)} |" for line in cluster.deep(shared.deep(server, jobs))]


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


def tables(*, quick: bool, deep: bool) -> Iterator[tuple[str, list[str]]]:
    """Each part of the page and its lines."""
    with RedisServer() as server:
        if deep:
            yield "sim-depth", million(server)
            return
        model, costs = measured_costs(server, quick=quick)
        yield "sim-cost", costs
        yield "sim-crowd", measured_crowds(server, model)
        yield "sim-rate", measured_rates(server, quick=quick)
    said = (
        f"Fitted: a job takes Redis {1e6 * model.alone_s:.0f} µs, and {1e6 * model.each_s:.0f} µs more for every other member; it sends "
        f"{model.alone_bytes / 1e3:.1f} kB, and {model.each_bytes / 1e3:.1f} kB more.\n"
    )
    yield "sim-model", [said, *reckoned(model)]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Where a shared queue bends.")
    parser.add_argument("--quick", action="store_true", help="fewer jobs")
    parser.add_argument("--million", action="store_true", help="a million waiting jobs instead: 5 GB, ten minutes")
    parser.add_argument("--write", action="store_true", help="also write docs/scaling.md")
    options = parser.parse_args()
    loaded = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    asked = "".join(f" --{name}" for name in ("quick", "million") if getattr(options, name))
    shown = f"`python benchmarks/cluster_sim.py{asked}` on {report.machine()}"
    head = f"{shown}; load average before: {loaded:.1f}; {when} UTC.\n"
    for part, lines in tables(quick=options.quick, deep=options.million):
        text = "\n".join(lines if part == "sim-model" else [head, *lines]) + "\n"
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
        if options.write:
            cluster.write(part, text)


if __name__ == "__main__":
    main()
