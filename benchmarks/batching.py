"""`python benchmarks/batching.py [--write] [--quick]`: a hundred pictures by 1 to 16 submitters, on stock ComfyUI and with Expeditor.

The batch is the command line's own (`client.batching`), saved files included; stock and Expeditor in turns, in one run. Prints a
table; `--write` puts it into docs/batching.md. Asserts nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import compare

ROOT = Path(__file__).resolve().parents[1]
PICTURES = 100
SUBMITTERS = (1, 2, 4, 8, 16)
ONE_BY_ONE, TOGETHER = 0, -4
NAIVE_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds from the start until all were submitted, and until all were saved."""

    in_s: float
    done_s: float


class Watch:
    """Stands for the progress bars: notes when the last submit was through."""

    def __init__(self) -> None:
        self.last_s = 0.0
        self._lock = threading.Lock()

    def submitted(self) -> None:
        """One more is in."""
        with self._lock:
            self.last_s = time.perf_counter()

    def settled(self, item: Any, status: str, error: str | None) -> None:
        """One has ended; the figures are of batches without failures."""
        if status != "succeeded":
            sys.exit(f"item {item.number} {status}: {error}")

    def running(self, jobs: Any) -> None:
        """Of no interest."""


class Bench:
    """Both servers, and seeds that nothing has been run with."""

    def __init__(self, urls: dict[str, str], pictures: int) -> None:
        self._urls, self._pictures = urls, pictures
        self._seed = 1

    def batch(self, side: str, submitters: int) -> Took:
        """The command line's batch."""
        from benchmarks import prompts  # noqa: PLC0415 - importable once the paths are set
        from expeditor.client.batching.items import plan_of  # noqa: PLC0415
        from expeditor.client.batching.record import open_record  # noqa: PLC0415
        from expeditor.client.batching.runner import Options, Runner, Stopper  # noqa: PLC0415
        from expeditor.client.sweeps import axes_of  # noqa: PLC0415

        first = self._next()
        plan = plan_of(prompts.thirty_nodes(0), axes_of([f"1.color={first}..{first + self._pictures - 1}"], []), 1, {})
        watch = Watch()
        with self._server(side) as server, tempfile.TemporaryDirectory() as folder:
            options = Options(Path(folder), abs(submitters), together=submitters < 0)
            began_s = time.perf_counter()
            with open_record(Path(folder), plan.digest(), self._pictures, self._urls[side]) as record:
                Runner(server, plan, record, watch, options, Stopper()).run()
            return Took(watch.last_s - began_s, time.perf_counter() - began_s)

    def one_by_one(self, side: str) -> Took:
        """What a first script does: submit, ask until it is done, save, and only then the next."""
        from benchmarks import prompts  # noqa: PLC0415
        from expeditor.client.saving import save_outputs  # noqa: PLC0415

        first = self._next()
        with self._server(side) as server, tempfile.TemporaryDirectory() as folder:
            began_s = time.perf_counter()
            for number in range(self._pictures):
                prompt = prompts.thirty_nodes(0)
                prompt["1"]["inputs"]["color"] = first + number
                job = server.submit(prompt, key=_uuid())
                save_outputs(server, server.wait(job.id, NAIVE_POLL_S), Path(folder), f"{number}_")
            took_s = time.perf_counter() - began_s
            return Took(took_s, took_s)

    def _next(self) -> int:
        self._seed += self._pictures
        return self._seed

    @contextmanager
    def _server(self, side: str) -> Iterator[Any]:
        from expeditor.client.connect import connect  # noqa: PLC0415
        from expeditor.client.transport import Transport  # noqa: PLC0415

        transport = Transport(self._urls[side])
        try:
            yield connect(transport)
        finally:
            transport.close()


def _uuid() -> str:
    import uuid  # noqa: PLC0415

    return str(uuid.uuid4())


def run(pictures: int, rounds: int) -> str:
    """The text for the page."""
    from benchmarks import report  # noqa: PLC0415
    from benchmarks.sides import side  # noqa: PLC0415

    loaded = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    with ExitStack() as stack:
        sides = {
            name: stack.enter_context(side(name, with_expeditor=name == "expeditor")).server.url
            for name in ("stock", "expeditor")
        }
        bench = Bench(sides, pictures)
        for name in sides:
            bench.batch(name, 4)  # the first run of all reads files and compiles
        found: dict[tuple[int, str], list[Took]] = {}
        for turn in range(rounds):
            for submitters in (ONE_BY_ONE, *SUBMITTERS, TOGETHER):
                for name in sides if turn % 2 == 0 else reversed(sides):
                    if (submitters, name) == (TOGETHER, "stock"):
                        continue
                    took = bench.one_by_one(name) if submitters == ONE_BY_ONE else bench.batch(name, submitters)
                    found.setdefault((submitters, name), []).append(took)
                    sys.stderr.write(f"{submitters} {name}: in {took.in_s:.2f} s, done {took.done_s:.2f} s\n")
    rows = [_row(submitters, found) for submitters in (ONE_BY_ONE, *SUBMITTERS, TOGETHER)]
    head = (
        f"{report.machine()}; load average before the run: {loaded:.1f}. {pictures} pictures of 30 small nodes each; medians of "
        f"{rounds} interleaved rounds.\n\n"
        "| submitters | all in, stock | Expeditor | ratio | all saved, stock | Expeditor | ratio |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
    )
    return head + "\n".join(rows) + "\n"


def _row(submitters: int, found: dict[tuple[int, str], list[Took]]) -> str:
    def median(name: str, field: str) -> float:
        return statistics.median(getattr(took, field) for took in found[submitters, name])

    names = {ONE_BY_ONE: "one by one: submit, wait, next", TOGETHER: "all in one request"}
    cells = [names.get(submitters, str(submitters))]
    for field in ("in_s", "done_s"):
        ours = median("expeditor", field)
        if submitters == TOGETHER:
            cells += ["—", f"{ours:.2f} s", "—"]
        elif (submitters, field) == (ONE_BY_ONE, "in_s"):
            cells += ["—"] * 3
        else:
            stock = median("stock", field)
            cells += [f"{stock:.2f} s", f"{ours:.2f} s", f"{ours / stock:.2f}×"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="A hundred pictures by 1 to 16 submitters, beside stock ComfyUI.")
    parser.add_argument("--write", action="store_true", help="also write docs/batching.md's part")
    parser.add_argument("--quick", action="store_true", help="twenty pictures in place of a hundred")
    parser.add_argument("--rounds", type=int, default=3, help="so many of each, in turns (default 3)")
    options = parser.parse_args()
    compare.make_importable()
    compare.use_development_python()
    text = run(20 if options.quick else PICTURES, options.rounds)
    sys.stdout.write("\n" + text)
    if options.write:
        from benchmarks.pages import replace_part  # noqa: PLC0415

        replace_part(ROOT / "docs/batching.md", "batching", text)


if __name__ == "__main__":
    main()
