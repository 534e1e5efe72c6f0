"""One call of a command: where it talks to, where it writes to, and how its faults become exit codes.

Results go to standard output, everything else to standard error. Owns the two consoles; a command never writes elsewhere.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, ParamSpec

import typer
from rich.console import Console
from rich.markup import escape

from .connect import Server, connect
from .faults import INTERRUPTED, ClientError, Refused
from .transport import PATIENCE_S, Transport

P = ParamSpec("P")
PIPE_WIDTH = 200


@dataclass(slots=True)
class Session:
    """``say`` for people, ``emit`` for what was asked for."""

    url: str
    token: str = ""
    as_json: bool = False
    patience_s: float | None = PATIENCE_S
    busy_patience_s: float | None = -1.0
    sleep: Callable[[float], None] = time.sleep
    out: Console = field(default_factory=lambda: Console(soft_wrap=True, highlight=False, width=_width()))
    err: Console = field(default_factory=lambda: Console(stderr=True, soft_wrap=True, highlight=False))

    def transport(self) -> Transport:
        """A pool of connections to the server; nothing is asked yet."""
        busy = self.patience_s if self.busy_patience_s == -1.0 else self.busy_patience_s
        return Transport(
            self.url,
            token=self.token or None,
            patience_s=self.patience_s,
            busy_patience_s=busy,
            tell=self.say,
            sleep=self.sleep,
        )

    def connect(self) -> Server:
        """The server, asked what it is."""
        return connect(self.transport())

    def say(self, text: str) -> None:
        """A sentence for the person, on standard error."""
        self.err.print(escape(text))

    def emit(self, told: Any) -> None:
        """A JSON value on standard output, in one line."""
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def show(self, text: str) -> None:
        """A line of the result for people; nothing where JSON is asked for."""
        if not self.as_json:
            self.out.print(escape(text))


def _width() -> int | None:
    # A pipe has no width: what is read by a program is not cut.
    return None if sys.stdout.isatty() else PIPE_WIDTH


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """A command whose faults end the program with their exit code, one sentence, and with ``--json`` also as JSON."""

    @functools.wraps(command)
    def run(*args: P.args, **options: P.kwargs) -> None:
        as_json = options.get("as_json") is True
        try:
            command(*args, **options)
        except ClientError as fault:
            _end(fault, as_json=as_json)
        except KeyboardInterrupt:
            Console(stderr=True).print("stopped")
            raise typer.Exit(INTERRUPTED) from None

    return run


def _end(fault: ClientError, *, as_json: bool) -> NoReturn:
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"expeditor: {escape(str(fault))}")
    if as_json:
        told: dict[str, Any] = {"code": fault.code, "message": str(fault.args[0])}
        if isinstance(fault, Refused):
            told["status"] = fault.status
            told["errors"] = [
                {"pointer": each.pointer, "message": each.message, "hint": each.hint} for each in fault.faults
            ]
        sys.stdout.write(json.dumps({"error": told}, ensure_ascii=False) + "\n")
    raise typer.Exit(fault.exit_code) from fault
