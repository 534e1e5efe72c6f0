"""`python benchmarks/compare.py [--quick] [--write] [--calibrate]`: stock ComfyUI and Expeditor side by side, in one run.

Starts real servers from the development set-up (`python dev.py test host` makes it), measures them in turns and prints a
table of aims and figures. Asserts nothing. `--calibrate` puts a second stock server in Expeditor's place: what it shows is
the noise of the machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
COMMIT_DELAY_S = 0.005
SLOW = "expeditor, slow disk"


def _make_importable() -> None:
    for name, folder in (("expeditor", ROOT), ("tests", ROOT / "tests"), ("benchmarks", ROOT / "benchmarks")):
        module = ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules[name] = module


def _use_development_python() -> None:
    """Go on as the interpreter that dev.py set up, if this one is another."""
    from expeditor.devtools.cache import Cache  # noqa: PLC0415 - importable from here on

    folder = Cache.of_user().root / "venv"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if os.environ.get("EXPEDITOR_PYTHON") or Path(sys.prefix).resolve() == folder.resolve():
        return
    if not python.exists():
        sys.exit("no ComfyUI to measure: run `python dev.py test host` once, it sets one up")
    os.execv(python, [str(python), *sys.argv])


def _say(text: str, began: float) -> None:
    sys.stderr.write(f"[{time.monotonic() - began:5.0f} s] {text}\n")


def run(options: argparse.Namespace) -> str:
    """The table."""
    from benchmarks import measures, report  # noqa: PLC0415 - importable once the paths are set
    from benchmarks.sides import side  # noqa: PLC0415

    began = time.monotonic()
    quick: bool = options.quick
    real: bool = not options.calibrate
    rows: list[report.Row] = []
    with ExitStack() as stack:
        _say("starting three servers", began)
        stock = stack.enter_context(side("stock", with_expeditor=False))
        ours = stack.enter_context(side("expeditor", with_expeditor=real))
        slow_env = {"EXPEDITOR_STORE_COMMIT_DELAY_S": str(COMMIT_DELAY_S)} if real else {}
        slow = stack.enter_context(side(SLOW, with_expeditor=real, env=slow_env))
        if real and (health := ours.server.get("/expeditor/health")).status_code != 200:
            sys.exit(f"Expeditor is not running in its server: {health.status_code}\n{ours.server.log_text()[-4000:]}")
        commit = measures.commits(ours.server.base, 100 if quick else 300)
        rows.append(report.commit_row(commit))
        jobs = 300 if quick else 1_000
        _say(f"memory with {jobs} queued jobs", began)
        rows += report.memory_rows(measures.memory([stock, ours], jobs), jobs)
        for clients, requests in ((1, 60 if quick else 200), (32, 192 if quick else 640)):
            _say(f"submits, clients: {clients}", began)
            found = measures.submits([stock, ours, slow], clients, requests, rounds=2 if quick else 7)
            rows += report.submit_rows(found, clients, "expeditor", commit.median)
            rows += report.submit_rows(found, clients, SLOW, commit.median + COMMIT_DELAY_S)
        for cached in (False, True):
            what = "from the cache" if cached else "uncached"
            _say(f"gaps between jobs, {what}", began)
            found_gaps = measures.gaps([stock, ours], 40 if quick else 100, rounds=2 if quick else 5, cached=cached)
            rows += report.gap_rows(found_gaps, what, commit.median)
        _say("refusals", began)
        rows += report.refusal_rows(measures.refusals([stock, ours], 2_000, rounds=1 if quick else 3), 2_000)
    _say("start-up", began)
    rows += report.start_rows(
        measures.start_ups(1 if quick else 4), measures.pack_imports(1 if quick else 5) if real else None
    )
    _say("done", began)
    return f"Medians (lowest–highest round). {report.machine()}.\n\n{report.table(rows)}\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Stock ComfyUI and Expeditor side by side.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under a minute and a half instead of six")
    parser.add_argument("--write", action="store_true", help="also write benchmarks/results.md")
    parser.add_argument("--calibrate", action="store_true", help="two stock servers: how much of a difference is noise")
    options = parser.parse_args()
    _make_importable()
    _use_development_python()
    text = run(options)
    sys.stdout.write("\n" + text)
    if options.write:
        head = "# Results of the last `python benchmarks/compare.py --write`\n\n"
        (ROOT / "benchmarks/results.md").write_text(head + text, encoding="utf-8")


if __name__ == "__main__":
    main()
