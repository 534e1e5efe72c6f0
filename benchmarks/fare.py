"""`python benchmarks/fare.py [--write]`: how a client fares, on stock ComfyUI and with Expeditor, in one run.

Waiting on the socket against polling each second, noticing a worker that died, urgent jobs against first come first served,
and what comes back after `kill -9`. Prints a table; `--write` puts it into `docs/performance.md`. Asserts nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import compare

ROOT = Path(__file__).resolve().parents[1]
ROUNDS, WAITED, BATCH, KILLED = 3, 8, 60, 40
CLIENT_TIMEOUT_S, PATIENCE_S = 600, 15.0
Line = tuple[str, str, str]


def run() -> str:
    """The text for the page."""
    from benchmarks import clients, report  # noqa: PLC0415 - importable once the paths are set
    from benchmarks.sides import Side, side  # noqa: PLC0415

    began = time.monotonic()
    lines: list[Line] = []

    def told(line: Line) -> None:
        lines.append(line)
        sys.stderr.write(f"[{time.monotonic() - began:4.0f} s] {' | '.join(line)}\n")

    def both(name: str, stock: str, ours: str) -> None:
        told((name, stock, ours))

    with ExitStack() as stack:
        sides: list[Side] = [
            stack.enter_context(side("stock", with_expeditor=False)),
            stack.enter_context(side("expeditor", with_expeditor=True)),
        ]
        for name, wait in (
            ("on the socket", clients.by_socket),
            ("asking `/history/{id}` each second", clients.by_polling),
        ):
            found = [
                clients.medians([wait(one, WAITED, seed * 1_000 + len(lines)) for seed in range(ROUNDS)])
                for one in sides
            ]
            both(f"requests per job, {name}", *(f"{waits.requests:.1f}" for waits in found))
            both(f"end of a job → its client knows, {name}", *(f"{waits.delay_s * 1e3:.0f} ms" for waits in found))
        mixed = [clients.completion(one, BATCH, 50_000) for one in sides]
        what = f"{BATCH} jobs of {clients.JOB_S:g} s at once, every fifth urgent"
        both(f"{what}: urgent ones end after (mean)", *(f"{found.urgent_s:.1f} s" for found in mixed))
        both("… the others", *(f"{found.usual_s:.1f} s" for found in mixed))
        both("… all are done", *(f"{found.all_s:.1f} s" for found in mixed))
        kills = [clients.kill(one, KILLED, 70_000) for one in sides]
        both(
            f"`kill -9` with {KILLED} jobs waiting: jobs kept",
            *(f"{found.kept} of {found.accepted}" for found in kills),
        )
        both("… start of the new process → it answers", *(f"{found.answers_s:.1f} s" for found in kills))
        runs = ["never" if found.runs_s is None else f"{found.runs_s:.1f} s" for found in kills]
        both("… start of the new process → a job of before has run", *runs)
        dead = [clients.dead_worker_s(one, PATIENCE_S) for one in sides]
        never = f"never: its own time-out ({CLIENT_TIMEOUT_S} s; not heard in {PATIENCE_S:g} s here)"
        both(
            "a node raises SystemExit: its client knows after",
            *(never if found is None else f"{found * 1e3:.0f} ms" for found in dead),
        )
    rows = ["| | stock | Expeditor |", "| --- | --- | --- |", *(f"| {' | '.join(line)} |" for line in lines)]
    return f"{report.machine()}; medians of {ROUNDS} rounds where one is repeated.\n\n" + "\n".join(rows) + "\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="How a client fares, beside stock ComfyUI.")
    parser.add_argument("--write", action="store_true", help="also write docs/performance.md's part")
    options = parser.parse_args()
    compare.make_importable()
    compare.use_development_python()
    text = run()
    sys.stdout.write("\n" + text)
    if options.write:
        from benchmarks.pages import replace_part  # noqa: PLC0415

        replace_part(ROOT / "docs/performance.md", "fare", text)


if __name__ == "__main__":
    main()
