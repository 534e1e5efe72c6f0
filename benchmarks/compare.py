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
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]


def make_importable() -> None:
    """Let `expeditor`, `tests` and `benchmarks` be imported from this checkout."""
    for name, folder in (("expeditor", ROOT), ("tests", ROOT / "tests"), ("benchmarks", ROOT / "benchmarks")):
        module = ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules[name] = module


def use_development_python() -> None:
    """Go on as the interpreter that dev.py set up, if this one is another."""
    from expeditor.devtools.cache import Cache  # noqa: PLC0415 - importable from here on

    folder = Cache.of_user().root / "venv"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if os.environ.get("EXPEDITOR_PYTHON") or Path(sys.prefix).resolve() == folder.resolve():
        return
    if not python.exists():
        sys.exit("no ComfyUI to measure: run `python dev.py test host` once, it sets one up")
    os.execv(python, [str(python), *sys.argv])


def run(*, quick: bool, calibrate: bool) -> str:
    """The table. Each row is also told on standard error as soon as it is known."""
    from benchmarks import report  # noqa: PLC0415 - importable once the paths are set
    from benchmarks.rounds import Rounds  # noqa: PLC0415

    rows: list[report.Row] = []
    began = time.monotonic()
    loaded = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    for row in Rounds(quick=quick, calibrate=calibrate).rows():
        rows.append(row)
        sys.stderr.write(f"[{time.monotonic() - began:4.0f} s] {' | '.join(row.cells())}\n")
    head = (
        f"Medians (lowest–highest round). {report.machine()}; load average of the machine before the run: {loaded:.1f}."
    )
    return f"{head}\n\n{report.table(rows)}\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Stock ComfyUI and Expeditor side by side.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under a minute and a half instead of six")
    parser.add_argument("--write", action="store_true", help="also write benchmarks/results.md")
    parser.add_argument("--calibrate", action="store_true", help="two stock servers: how much of a difference is noise")
    options = parser.parse_args()
    make_importable()
    use_development_python()
    text = run(quick=options.quick, calibrate=options.calibrate)
    sys.stdout.write("\n" + text)
    if options.write:
        head = "# Results of the last `python benchmarks/compare.py --write`\n\n"
        (ROOT / "benchmarks/results.md").write_text(head + text, encoding="utf-8")


if __name__ == "__main__":
    main()
