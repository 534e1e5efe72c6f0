"""Writes docs/causes.md from the tables in jobs/causes.py: `python docs/generate_causes.py`, run in the checkout.

`page()` is pure; tests/unit/jobs/test_causes.py holds the file equal to it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "causes.md"

HEAD = """\
# Causes

<!-- Written by docs/generate_causes.py from jobs/causes.py. Change it there. -->

Why a job or one of its attempts did not simply succeed. The cause stands in the job's `cause`, in each of its `attempts`, in
`error.code`, in the log and in the metrics. [Retries](retries.md) says when "at once"
and "later" are, and how often.

| cause | meaning | tried again? | what you can do |
|---|---|---|---|
"""
LEVELS = {"never": "no", "in_place": "yes, at once", "later": "yes, later"}
AFTER_CAUSES = """
`retry_levels` in `expeditor.toml` changes the third column (`never`, `in_place`, `later`) for
{switchable}:

```toml
[retry_levels]
OUT_OF_MEMORY = "never"
STALLED = "never"
```

## Which error is which cause

ComfyUI reports the full name of an exception's type and its text. The first of these globs that fits counts, and `NODE_ERROR`
if none does. A glob is for the type's name, or, with `: ` in it, for type and text together; upper and lower case are the
same. `cause_rules` in `expeditor.toml` come before them; they may name
{of_runs}:

```toml
[cause_rules]
"my_pack.errors.BusyError" = "UPSTREAM_UNAVAILABLE"
"RuntimeError: *server is warming up*" = "UPSTREAM_UNAVAILABLE"
"requests.exceptions.ReadTimeout" = "NODE_ERROR"
```

| exception | cause |
|---|---|
"""


def page(causes: Any) -> str:
    """The whole page; ``causes`` is the module ``jobs.causes``."""
    rows = [
        f"| `{cause.value}` | {row.means} | {LEVELS[row.level.value]} | {row.remedy} |\n"
        for cause, row in causes.CAUSES.items()
    ]
    told = AFTER_CAUSES.format(
        switchable=_names(causes.CAUSES, causes.SWITCHABLE), of_runs=_names(causes.CAUSES, causes.OF_RUNS)
    )
    rules = [f"| `{glob}` | `{cause.value}` |\n" for glob, cause in causes.RULES.items()]
    return "".join((HEAD, *rows, told, *rules))


def _names(causes: Mapping[Any, object], among: frozenset[Any]) -> str:
    names = [f"`{cause.value}`" for cause in causes if cause in among]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def main() -> None:
    """Write the page."""
    # The package's doorway belongs to ComfyUI's loader, so the checkout is made importable without running it.
    package = ModuleType("expeditor")
    package.__path__ = [str(ROOT)]
    sys.modules["expeditor"] = package
    from expeditor.jobs import causes  # noqa: PLC0415 - importable only from here on

    PAGE.write_text(page(causes), encoding="utf-8")


if __name__ == "__main__":
    main()
