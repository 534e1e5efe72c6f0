"""Writes the tables of docs/cli.md from the commands themselves: `python docs/generate_cli.py`, run in the checkout.

`page()` is pure; tests/unit/client/test_pages.py holds the file equal to it. Owns the tables between the comment lines, and no sentence.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import get_args

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "cli.md"
SHARED = ("server", "token", "patience", "as_json")


def page(text: str, commands: Iterable[Callable[..., None]], exit_codes: dict[int, str]) -> str:
    """The page with every table written anew. ValueError for a part that nobody knows."""
    by_name = {command.__name__: command for command in commands}

    def part(found: re.Match[str]) -> str:
        return f"<!-- {found[1]}: begin -->\n\n{_table(found[1], by_name, exit_codes)}\n<!-- {found[1]}: end -->"

    return re.sub(r"<!-- (\S+): begin -->.*?<!-- \1: end -->", part, text, flags=re.DOTALL)


def _table(name: str, commands: dict[str, Callable[..., None]], exit_codes: dict[int, str]) -> str:
    if name == "exit-codes":
        return _rows(("code", "meaning"), [(f"`{code}`", meaning) for code, meaning in sorted(exit_codes.items())])
    if name == "shared":
        given = inspect.signature(commands["submit"]).parameters
        return _rows(("option", "meaning"), [_row(given[shared]) for shared in SHARED])
    if name not in commands:
        raise ValueError(f"cli.md has a part {name}, and there is no such command")
    said = (commands[name].__doc__ or "").strip().splitlines()[0]
    own = [
        each for each in inspect.signature(commands[name], eval_str=True).parameters.values() if each.name not in SHARED
    ]
    return f"{said}\n\n" + _rows(("argument or option", "meaning"), [_row(each) for each in own])


def _row(parameter: inspect.Parameter) -> tuple[str, str]:
    """From what typer is told: ``Annotated[type, Option or Argument]``."""
    kind, info = get_args(parameter.annotation)
    # typer's first argument is the default, which stands behind the = here; what is there is the first name.
    named = [
        name for name in (info.default, *(info.param_decls or ())) if isinstance(name, str) and name.startswith("-")
    ]
    if not named:
        return f"`{info.metavar or parameter.name.upper()}`", info.help
    number = kind in {int, float} or bool({int, float} & set(get_args(kind)))
    value = "" if kind is bool else f" {info.metavar or ('N' if number else 'TEXT')}"
    names = ", ".join(f"`{name}{value if name.startswith('--') else ''}`" for name in named)
    environment = f" Also `{info.envvar}`." if info.envvar else ""
    default = "" if parameter.default in (None, False, "") else f" Default `{parameter.default}`."
    return names, f"{info.help}{environment}{default}".replace("|", "\\|")


def _rows(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    if not rows:
        return ""
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| {left} | {right} |" for left, right in rows)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Rewrite the page."""
    package = ModuleType("expeditor")
    package.__path__ = [str(ROOT)]
    sys.modules["expeditor"] = package
    from expeditor.client.app import COMMANDS  # noqa: PLC0415 - importable from here on
    from expeditor.client.faults import EXIT_CODES  # noqa: PLC0415

    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), COMMANDS, EXIT_CODES), encoding="utf-8")


if __name__ == "__main__":
    main()
