"""`python benchmarks/cluster.py [--quick] [--only PART] [--write]`: what a shared queue costs and gains, on a real Redis, in one run.

Parts: `store` (beside raw BullMQ), `deep` (100,000 wait) and `executors` (fake ones, that sleep) without ComfyUI; `submit` (through
HTTP, shared beside SQLite), `real` (1, 2 and 4 real instances) and `batch` (on 1 and 4). Medians of interleaved rounds beside the aims;
asserts nothing. `--write` puts the lines into docs/scaling.md. All processes share this machine's cores.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import compare

if TYPE_CHECKING:
    from benchmarks.shared_store import Deep

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("store", "deep", "executors", "submit", "real", "batch")
Line = tuple[str, str, str]
"""What, what was found, the aim."""


def spread(found: list[float], unit: str, scale: float = 1.0, digits: int = 1) -> str:
    """The median, and the lowest and highest round."""
    median, low, high = (scale * value for value in (statistics.median(found), min(found), max(found)))
    return f"{median:,.{digits}f} {unit} ({low:,.{digits}f} to {high:,.{digits}f})"


def share(found: list[float], base: list[float]) -> str:
    """The median ratio of rounds that lay side by side."""
    return f"{statistics.median(one / other for one, other in zip(found, base, strict=True)):.2f} ×"


def in_turns(blocks: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """A B, B A, …: what drifts on the machine hits all alike."""
    found: dict[str, list[float]] = {name: [] for name in blocks}
    for number in range(rounds):
        for name in list(blocks)[:: 1 if number % 2 == 0 else -1]:
            found[name].append(blocks[name]())
    return found


def store_lines(*, quick: bool) -> Iterator[Line]:
    """Our store beside BullMQ alone."""
    from benchmarks import shared_store as shared  # noqa: PLC0415 - importable once the paths are set
    from tests.support.redis_server import RedisServer  # noqa: PLC0415

    rounds = 3 if quick else 7
    with RedisServer() as server, shared.bound(server):
        for at_once, jobs in ((1, 1500), (16, 1500), (shared.AT_ONCE, 1500)):
            blocks: dict[str, Callable[[], float]] = {
                "ours": lambda n=at_once, jobs=jobs: shared.enqueue_rate(server, jobs, n),
                "raw": lambda n=at_once, jobs=jobs: shared.raw_rate(server, jobs, n),
            }
            found = in_turns(blocks, rounds)
            yield f"enqueue, {at_once} at once, raw BullMQ `Queue.add`", spread(found["raw"], "jobs/s", digits=0), ""
            yield f"enqueue, {at_once} at once, our store", spread(found["ours"], "jobs/s", digits=0), ""
            yield "→ ours of raw", share(found["ours"], found["raw"]), "at least 0.6 ×"


def deep_lines(*, quick: bool) -> Iterator[Line]:
    """A queue in which many wait."""
    from benchmarks import shared_store as shared  # noqa: PLC0415
    from tests.support.redis_server import RedisServer  # noqa: PLC0415

    with RedisServer() as server:
        yield from deep(shared.deep(server, 10_000 if quick else 100_000))


def executor_lines(*, quick: bool) -> Iterator[Line]:
    """Fake executors."""
    from benchmarks import shared_store as shared  # noqa: PLC0415
    from tests.support.redis_server import RedisServer  # noqa: PLC0415

    with RedisServer() as server:
        counts = (1, 8, 16) if quick else (1, 2, 4, 8, 16)
        seen = {count: [shared.executed(server, count, 20, 0.5) for _ in range(1 if quick else 3)] for count in counts}
        for count, runs in seen.items():
            what = f"{count} fake executor{'s' * (count > 1)}, jobs that sleep 0.5 s"
            yield what, spread([one.rate for one in runs], "jobs/s", digits=2), ""
            found_share = (
                statistics.median(one.rate for one in runs) / count / statistics.median(one.rate for one in seen[1])
            )
            yield "→ of linear", f"{100 * found_share:.1f} %", "at least 95 %"
            yield (
                "→ from the end of a sleep to the next",
                spread([1e3 * one.between_s for one in runs], "ms"),
                "under 15 ms",
            )


def deep(found: Deep) -> Iterator[Line]:
    """The lines of a queue in which many wait."""
    at = f"at {found.jobs:,} waiting jobs"
    yield f"position of a job {at}", f"{1e3 * found.place_s:.2f} ms", "under 1 ms"
    yield f"claim {at}", f"{1e3 * found.claim_s:.1f} ms", ""
    over = found.redis_bytes - found.prompt_bytes
    yield (
        f"Redis' memory per waiting job {at}",
        f"{found.redis_bytes:,.0f} bytes: the compressed prompt ({found.prompt_bytes:,.0f}) and {over:,.0f}",
        "prompt and 1,024",
    )
    yield f"a member's memory per waiting job {at}", f"{found.member_bytes:,.0f} bytes", ""
    yield f"start of a member {at}", f"{found.opened_s:.1f} s", ""
    yield f"enqueue in bulk up to {found.jobs:,}", f"{found.jobs / found.filled_s:,.0f} jobs/s", ""


def submit_lines(*, quick: bool) -> Iterator[Line]:
    """A cluster of one beside SQLite, through HTTP."""
    from benchmarks import measures  # noqa: PLC0415
    from benchmarks.sides import side  # noqa: PLC0415
    from tests.support.redis_server import RedisServer  # noqa: PLC0415

    with RedisServer() as server, side("sqlite", with_expeditor=True) as sqlite:
        env = {"EXPEDITOR_STORE": server.url, "EXPEDITOR_INSTANCE": "gpu1"}
        with side("shared", with_expeditor=True, env=env) as shared:
            sides = [sqlite, shared]
            for clients, requests in ((1, 60 if quick else 200), (32, 192 if quick else 640)):
                found = measures.submits(sides, clients, requests, rounds=3 if quick else 7)
                who = f"{clients} client{'s' * (clients > 1)}"
                for name in ("sqlite", "shared"):
                    rate, p50 = found.rate[name], found.p50[name]
                    text = f"{rate.median:,.0f} jobs/s ({rate.low:,.0f} to {rate.high:,.0f}), p50 {1e3 * p50.median:.1f} ms"
                    yield f"submit over HTTP, {who}, {name}", text, ""
                yield (
                    "→ rate of SQLite's",
                    f"{found.rate['shared'].median / found.rate['sqlite'].median:.2f} ×",
                    "at least 0.6 ×",
                )
                latency = found.p50["shared"].median / found.p50["sqlite"].median
                yield "→ latency of SQLite's", f"{latency:.2f} ×", "at most 1.2 ×"
            gaps = measures.gaps(sides, 40 if quick else 100, rounds=2 if quick else 5, cached=False)
            for name in ("sqlite", "shared"):
                text = f"{1e3 * gaps.from_end_mark[name].median:.1f} ms from the end mark, "
                yield (
                    f"from one job to the next, {name}",
                    f"{text}{1e3 * gaps.from_success[name].median:.1f} ms from the success",
                    "",
                )
            over = 1e3 * gaps.from_end_mark["shared"].median
            yield "→ from the end mark to the next start (the claim)", f"{over:.1f} ms", "under 15 ms"


def real_lines(*, quick: bool) -> Iterator[Line]:
    """Real instances."""
    from benchmarks import real_cluster  # noqa: PLC0415

    yield from real_cluster.lines(quick=quick)


def batch_lines(*, quick: bool) -> Iterator[Line]:
    """The command line's batch on one real instance and on four."""
    from benchmarks import real_cluster  # noqa: PLC0415

    yield from real_cluster.batch_lines(40 if quick else 100)


def lines(parts: tuple[str, ...], *, quick: bool) -> Iterator[Line]:
    """All of the chosen parts."""
    made = {
        "store": store_lines,
        "deep": deep_lines,
        "executors": executor_lines,
        "submit": submit_lines,
        "real": real_lines,
        "batch": batch_lines,
    }
    for part in parts:
        yield from made[part](quick=quick)


def write(part: str, text: str) -> None:
    """Into its place in docs/scaling.md."""
    page = ROOT / "docs/scaling.md"
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    old = page.read_text(encoding="utf-8")
    new = re.sub(rf"{begin}.*?{end}", lambda _: f"{begin}\n\n{text}\n{end}", old, flags=re.DOTALL)
    page.write_text(new, encoding="utf-8")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="What a shared queue costs and gains.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and shallower queues")
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--write", action="store_true", help="also write docs/scaling.md")
    options = parser.parse_args()
    compare.make_importable()
    compare.use_development_python()
    from benchmarks import report  # noqa: PLC0415

    for part in (options.only,) if options.only else PARTS:
        loaded = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
        head = f"{report.machine()}; load average before: {loaded:.1f}; {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC"
        sys.stdout.write(head + "\n")
        rows = ["| what | found | aim |", "|---|---|---|"]
        for what, found, aim in lines((part,), quick=options.quick):
            sys.stdout.write(f"{what:<62} {found}{f'   aim: {aim}' if aim else ''}\n")
            sys.stdout.flush()
            rows.append(f"| {what} | {found} | {aim} |")
        if options.write:
            shown = f"`python benchmarks/cluster.py --only {part}{' --quick' if options.quick else ''}`"
            write(part, f"{shown} on {head}.\n\n" + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
