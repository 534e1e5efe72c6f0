"""`python benchmarks/growth.py [--to 100000] [--write]`: how submit, pages, status, claim, memory and recovery grow with the queue.

Starts one stock ComfyUI and one with Expeditor and fills both step by step in the same run. Prints a table of figures with
the aims beside them; `--write` puts it into `docs/performance.md` and draws the plots (needs matplotlib, the extra `bench`).
Asserts nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import compare

ROOT = Path(__file__).resolve().parents[1]
DEPTHS = (0, 100, 1_000, 10_000, 100_000)
NO_LIMITS = {"EXPEDITOR_MAX_WAITING_JOBS": "0", "EXPEDITOR_MAX_WAITING_BYTES": "0", "EXPEDITOR_ACCESS_LOG": "false"}


def run(deepest: int, stored: int, *, draw: bool) -> str:
    """The text for the page; with `draw` the plots too."""
    from benchmarks import growth_report, report  # noqa: PLC0415 - importable once the paths are set
    from benchmarks.depths import Deepening, Growth  # noqa: PLC0415
    from benchmarks.sides import side  # noqa: PLC0415
    from benchmarks.stored import Stored  # noqa: PLC0415

    began = time.monotonic()

    def told(text: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - began:4.0f} s] {text}\n")

    with tempfile.TemporaryDirectory(prefix="expeditor-growth-") as folder, ExitStack() as stack:
        database = Stored(Path(folder))
        told(f"{database.fill(stored)} finished jobs stored")
        env = {**NO_LIMITS, "EXPEDITOR_DATA_DIR": folder}
        sides = [
            stack.enter_context(side("stock", with_expeditor=False)),
            stack.enter_context(side("expeditor", with_expeditor=True, env=env)),
        ]
        found = [Growth(one.name) for one in sides]
        fillers = [Deepening(one) for one in sides]
        for filler in fillers:
            filler.begin()
        for depth in [depth for depth in DEPTHS if depth <= deepest]:
            for filler, growth in zip(fillers, found, strict=True):
                filler.fill_to(depth)
                growth.rows.append(filler.measure())
                told(f"{growth.side}: {growth.rows[-1]}")
            recovered_s, waiting = database.recovery_s()
            found[1].recovery_s[depth] = recovered_s
            told(f"recovery of {waiting} waiting jobs: {recovered_s:.2f} s")
        if draw:
            growth_report.draw(found, ROOT / "docs/images" / growth_report.PLOT)
        return growth_report.page(report.machine(), found, stored)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="What a deep queue costs, beside stock ComfyUI.")
    parser.add_argument("--to", type=int, default=DEPTHS[-1], help="the deepest queue (default 100,000)")
    parser.add_argument("--stored", type=int, default=90_000, help="finished jobs in the database (default 90,000)")
    parser.add_argument("--write", action="store_true", help="also write docs/performance.md's part and its plots")
    options = parser.parse_args()
    compare.make_importable()
    compare.use_development_python()
    text = run(options.to, options.stored, draw=options.write)
    sys.stdout.write("\n" + text)
    if options.write:
        from benchmarks.pages import replace_part  # noqa: PLC0415

        replace_part(ROOT / "docs/performance.md", "growth", text)


if __name__ == "__main__":
    main()
