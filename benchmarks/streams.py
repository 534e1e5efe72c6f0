"""`python benchmarks/streams.py [--quick]`: what 1,000 event streams cost their readers, and what the event log costs a submit.

Starts real servers from the development set-up. Rounds are interleaved, a figure is the median of the rounds; aims stand beside the
figures. Asserts nothing.

Delay: from the commit of a job's change to its arrival at a reader, which is another process. The changes come one after the other
at a steady pace; with one stream they are all of its job, with 1,000 each is of another stream's job. "To all" opens 1,000 streams of
all jobs, so that every change goes to each of them.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from compare import make_importable, use_development_python

make_importable()

import aiohttp  # noqa: E402
import psutil  # noqa: E402

from benchmarks import prompts  # noqa: E402
from benchmarks.readers import Reader, opened  # noqa: E402
from benchmarks.sides import Side, side  # noqa: E402

STREAMS = 1_000
PACE_S = 0.01
PACE_TO_ALL_S = 0.2
CLIENTS = 32
WITHOUT_LOG = Path(__file__).parent / "packs/without_log"


def p99(values: list[float]) -> float:
    """The 99th percentile."""
    return statistics.quantiles(values, n=100)[98]


async def _change(http: aiohttp.ClientSession, jobs: list[str], changes: int, pace_s: float) -> None:
    """So many changes, `pace_s` apart, of one job after the other."""
    for number in range(changes):
        began_s = time.perf_counter()
        body = {"priority": 1 + number // len(jobs) % 2}
        async with http.post(f"/expeditor/jobs/{jobs[number % len(jobs)]}/priority", json=body) as answer:
            assert answer.status == 200, await answer.text()
        await asyncio.sleep(max(0.0, pace_s - (time.perf_counter() - began_s)))


async def round_of(server: Side, paths: list[str], jobs: list[str], changes: int, pace_s: float) -> list[Reader]:
    """Open the streams, let things happen, and give back what the readers heard of it."""
    port = server.server.port
    readers = await opened(paths, "127.0.0.1", port)
    await asyncio.sleep(1.0)  # what was replayed has come by then
    for reader in readers:
        reader.delays_s.clear()
        reader.cursors.clear()
    async with aiohttp.ClientSession(server.server.url) as http:
        await _change(http, jobs, changes, pace_s)
    await asyncio.sleep(1.0)
    for reader in readers:
        await reader.close()
    return readers


def delays(server: Side, rounds: int, changes: int) -> list[str]:
    """One stream, 1,000 streams of a job each, and 1,000 of all jobs, in turns."""
    with server.held():
        jobs = [server.submit(prompts.thirty_nodes(n), f"streams-{n % 50}") for n in range(STREAMS)]
        own = [f"/expeditor/jobs/{job}/events?types=job.reprioritised" for job in jobs]
        everything = ["/expeditor/events?types=job.reprioritised"] * STREAMS
        kinds = {
            "one": (own[:1], jobs[:1], changes, PACE_S),
            "many": (own, jobs, changes, PACE_S),
            "to all": (everything, jobs, changes // 20, PACE_TO_ALL_S),
        }
        found: dict[str, list[float]] = {kind: [] for kind in kinds}
        typical: dict[str, list[float]] = {kind: [] for kind in kinds}
        dropped = missed = 0
        for number in range(rounds):
            for kind in list(kinds)[:: 1 if number % 2 else -1]:
                paths, its_jobs, count, pace_s = kinds[kind]
                readers = asyncio.run(round_of(server, paths, its_jobs, count, pace_s))
                heard = [delay for reader in readers for delay in reader.delays_s]
                dropped += sum(reader.lost is not None for reader in readers)
                missed += count * (len(readers) if kind == "to all" else 1) - len(heard)
                found[kind].append(p99(heard))
                typical[kind].append(statistics.median(heard))
                print(
                    f"  {kind}: p50 {typical[kind][-1] * 1e3:.1f} ms, p99 {found[kind][-1] * 1e3:.1f} ms",
                    file=sys.stderr,
                )
        one, many, to_all = (statistics.median(found[kind]) for kind in ("one", "many", "to all"))
        half = {kind: statistics.median(values) * 1e3 for kind, values in typical.items()}
    shown = {
        "one stream": f"p50 {half['one']:.1f} ms, p99 {one * 1e3:.1f} ms",
        f"{STREAMS} streams of a job each": f"p50 {half['many']:.1f} ms, p99 {many * 1e3:.1f} ms",
        f"each event to all of {STREAMS} streams": f"p50 {half['to all']:.1f} ms, p99 {to_all * 1e3:.1f} ms",
    }
    return [
        f"streams dropped: {dropped}; events missed: {missed} (aim: 0 and 0)",
        *(f"delay, {kind}: {value}" for kind, value in shown.items()),
        f"p99 of {STREAMS} streams is {many / one:.2f}x that of one (aim: at most 5x)",
    ]


def cpu_s(server: Side) -> float:
    """The processor time of a server so far."""
    used = psutil.Process(server.server.pid).cpu_times()
    return used.user + used.system


def has_log(server: Side) -> bool:
    """Whether the newest job, which has ended, has events."""
    newest = server.server.get("/expeditor/jobs?limit=1").json()["jobs"][0]["id"]
    return "job.queued" in server.server.get(f"/expeditor/jobs/{newest}/events").text


def log_cost(rounds: int, requests: int) -> list[str]:
    """Submits a second, and processor time for each, with the event log and without it."""
    rates: dict[str, list[float]] = {"with": [], "without": []}
    costs: dict[str, list[float]] = {"with": [], "without": []}
    with ExitStack() as stack:
        sides = {
            "with": stack.enter_context(side("with the log", with_expeditor=True)),
            "without": stack.enter_context(side("without", with_expeditor=True, packs=[WITHOUT_LOG])),
        }
        for number in range(rounds + 1):
            for name in list(sides)[:: 1 if number % 2 else -1]:
                with sides[name].held():
                    before_s = cpu_s(sides[name])
                    found = sides[name].load(CLIENTS, prompts.bodies(requests, CLIENTS, number * requests))
                    spent_s = cpu_s(sides[name]) - before_s
                if number:  # the first round warms up
                    rates[name].append(requests / found["wall_s"])
                    costs[name].append(spent_s / requests)
                    said = f"{rates[name][-1]:.0f} submits/s, {costs[name][-1] * 1e6:.0f} us of processor each"
                    print(f"  {name} the log: {said}", file=sys.stderr)
        if [has_log(each) for each in sides.values()] != [True, False]:
            sys.exit("the comparison is void: the server without a log has one, or both have none")
    kept, bare = (statistics.median(rates[name]) for name in ("with", "without"))
    dear, cheap = (statistics.median(costs[name]) * 1e6 for name in ("with", "without"))
    return [
        f"submits of {CLIENTS} clients: {kept:.0f}/s with the event log, {bare:.0f}/s without: {(bare / kept - 1) * 100:+.1f} %",
        f"processor time of a submit: {dear:.0f} us with, {cheap:.0f} us without: {(dear / cheap - 1) * 100:+.1f} % (aim of both: 5 %)",
    ]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Event streams and the event log, measured.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--only", choices=("streams", "log"))
    options = parser.parse_args()
    use_development_python()
    lines: list[str] = []
    if options.only != "log":
        with side("expeditor", with_expeditor=True) as server:
            lines += delays(server, 1 if options.quick else 5, 300 if options.quick else 1_000)
    if options.only != "streams":
        lines += log_cost(3 if options.quick else 9, 256 if options.quick else 640)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
