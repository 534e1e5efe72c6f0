"""The command line in this process against our own routes: the small app of `tests.http.edge`, served by a thread."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from expeditor.client.app import app
from tests.http.edge import PROMPT, App
from tests.support.served import Served


@dataclass(frozen=True)
class Said:
    """What a call wrote, and its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, which must be one JSON value."""
        return json.loads(self.out)

    def lines(self) -> list[Any]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


def call(url: str, *arguments: str, given: str | None = None, patience: str = "5") -> Said:
    """One call of the program."""
    takes_patience = ["--patience", patience]
    result = CliRunner().invoke(app, [*arguments, "--server", url, *takes_patience], input=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Said(result.exit_code, result.stdout, result.stderr)


@contextmanager
def served() -> Iterator[tuple[App, Served]]:
    """The app and where it is served."""
    edge = App()
    try:
        with Served(edge.web) as here:
            yield edge, here
    finally:
        edge.storage.stop()


def workflow(folder: Path, prompt: Any = None) -> str:
    """A workflow file."""
    file = folder / "workflow.json"
    file.write_text(json.dumps(prompt or PROMPT), encoding="utf-8")
    return str(file)
