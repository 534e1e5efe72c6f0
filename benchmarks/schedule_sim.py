"""`python benchmarks/schedule_sim.py [--quick] [--write]`: the order of the queue against first in first out, on a made-up machine.

The order is the one that servers use (`jobs/ordering.py` by way of `store/verbs.py`); only the clock and the work are made
up, so a day passes in a second and a run gives the same tables each time. Any Python from 3.10 on runs it.

Prints markdown; `--write` also puts it into docs/scheduling.md. Missed aims are told, not hidden; only a broken waiting
bound ends the run with an error.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/scheduling.md"
BEGIN, END = "<!-- begin: written by benchmarks/schedule_sim.py --write -->", "<!-- end -->"


def make_importable() -> None:
    """Make the checkout importable as `expeditor`, and this folder as `benchmarks`, where they are not yet."""
    for name, folder in (("expeditor", ROOT), ("benchmarks", ROOT / "benchmarks")):
        module = ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules.setdefault(name, module)


def report(*, quick: bool) -> str:
    """All tables. Each scenario's title is also told on standard error once it is through."""
    from benchmarks.sim import scenarios  # noqa: PLC0415 - importable once the paths are set

    began_s = time.monotonic()
    sections: list[scenarios.Section] = []
    for section in scenarios.everything(quick):
        sections.append(section)
        title = section.text.splitlines()[0].removeprefix("## ")
        sys.stderr.write(f"[{time.monotonic() - began_s:4.1f} s] {title}\n")
    aims = [aim for section in sections for aim in section.aims]
    held = scenarios.Aim("the waiting bound", "holds in every run", "held", met=True)  # a breach would have raised
    tables = [f"## Aims\n\n{scenarios.aims_table([*aims, held])}", *(section.text for section in sections)]
    return "\n\n".join(tables) + "\n"


def with_tables(page: str, tables: str) -> str:
    """The page with what stands between its marks replaced; headings go one level down."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables.replace('## ', '### ')}\n{END}{after}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="The order of the queue against first in first out, simulated.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter traces: seconds instead of a minute")
    parser.add_argument("--write", action="store_true", help="also write the tables into docs/scheduling.md")
    options = parser.parse_args()
    make_importable()
    tables = report(quick=options.quick)
    sys.stdout.write(tables)
    if options.write:
        PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")


if __name__ == "__main__":
    main()
