"""Writes docs/settings.md from the settings themselves: `python docs/generate_settings.py`, run in the checkout.

`page()` is pure; tests/unit/runtime/test_settings.py holds the file equal to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Protocol

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "settings.md"

HEAD = """\
# Settings

<!-- Written by docs/generate_settings.py from runtime/settings.py. Change it there. -->

Nothing has to be set. A setting is taken from, the last one found winning:

1. its default;
2. the file `expeditor.toml` in the data folder (`user/__expeditor` in ComfyUI's folder, or `EXPEDITOR_DATA_DIR`);
3. the environment variable of its name in capitals behind `EXPEDITOR_`: `EXPEDITOR_MAX_NODES=500`. Lists and tables are
   written as JSON there: `EXPEDITOR_DENY_NODES='["Load*"]'`. An empty variable counts as not set.

They are read once, when ComfyUI starts. An unknown name or a value out of its range is one line in ComfyUI's log that says what
is wrong, and ComfyUI goes on without Expeditor. `expeditor.toml` looks like this:

```toml
ordering = "strict"
deny_nodes = ["LoadImageFromUrl*"]

[weights]
grace = 2.0
```

Times are in seconds (`_s`) and sizes in bytes (`_bytes`). Priorities go from 1 to 10; 10 is most urgent.

| setting | values | default | meaning |
|---|---|---|---|
"""


class Row(Protocol):
    """What a row needs; ``runtime.settings.SettingRow`` fits."""

    name: str
    values: str
    default: str
    description: str


def page(rows: Iterable[Row]) -> str:
    """The whole page."""
    return HEAD + "".join(_line(row) for row in rows)


def _line(row: Row) -> str:
    default = f"`{row.default}`{_in_words(row)}" if row.default else "none"
    return f"| `{row.name}` | {row.values} | {default} | {row.description} |\n"


def _in_words(row: Row) -> str:
    """A long time in days, many bytes in MiB."""
    for suffix, one, unit in (("_s", 86_400, "days"), ("_bytes", 1 << 20, "MiB")):
        if (
            row.name.endswith(suffix)
            and row.default.isdigit()
            and int(row.default) >= one
            and not int(row.default) % one
        ):
            return f" ({int(row.default) // one:,} {unit})"
    return ""


def main() -> None:
    """Write the page."""
    # The package's doorway belongs to ComfyUI's loader, so the checkout is made importable without running it.
    package = ModuleType("expeditor")
    package.__path__ = [str(ROOT)]
    sys.modules["expeditor"] = package
    from expeditor.runtime.settings_table import describe  # noqa: PLC0415 - importable only from here on

    PAGE.write_text(page(describe()), encoding="utf-8")


if __name__ == "__main__":
    main()
