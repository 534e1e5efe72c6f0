"""docs/cli.md keeps step with the commands: every command has a part, and every table is what the command says of itself."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from expeditor.client.app import COMMANDS
from expeditor.client.faults import EXIT_CODES

ROOT = Path(__file__).resolve().parents[3]


def test_the_tables_are_those_of_the_commands():
    spec = importlib.util.spec_from_file_location("generate_cli", ROOT / "docs" / "generate_cli.py")
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert generator.page(text, COMMANDS, EXIT_CODES) == text, "run: python docs/generate_cli.py"


def test_every_command_has_a_part():
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert [
        name
        for name in (command.__name__ for command in COMMANDS)
        if f"\n## {name}\n\n<!-- {name}: begin -->" not in text
    ] == []
