"""One call of a command: where it talks to, where it writes to, and how its faults become exit codes.

Results go to standard output, everything else to standard error. Owns the two consoles; a command never writes elsewhere.
"""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NoReturn, get_type_hints

import typer
from rich.console import Console
from rich.markup import escape

from . import options
from .connect import Server, connect
from .faults import INTERRUPTED, ClientError, Refused
from .show import json_line, plain
from .transport import PATIENCE_S, Transport

Command = Callable[..., None]
PIPE_WIDTH = 200


@dataclass(slots=True)
class Session:
    """``say`` for people, ``emit`` for what was asked for. A context manager: it gives its connections back."""

    url: str
    token: str = ""
    as_json: bool = False
    patience_s: float | None = PATIENCE_S
    busy_patience_s: float | None = -1.0
    sleep: Callable[[float], None] = time.sleep
    out: Console = field(default_factory=lambda: Console(soft_wrap=True, highlight=False, width=_width()))
    err: Console = field(default_factory=lambda: Console(stderr=True, soft_wrap=True, highlight=False))

    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def transport(self) -> Transport:
        """A pool of connections to the server, given back with the session; nothing is asked yet."""
        busy = self.patience_s if self.busy_patience_s == -1.0 else self.busy_patience_s
        made = Transport(
            self.url,
            token=self.token or None,
            patience_s=self.patience_s,
            busy_patience_s=busy,
            tell=self.say,
            sleep=self.sleep,
        )
        self._open.callback(made.close)
        return made

    def connect(self) -> Server:
        """The server, asked what it is."""
        return connect(self.transport())

    def say(self, text: str) -> None:
        """A sentence for the person, on standard error."""
        self.err.print(escape(plain(text)))

    def emit(self, told: Any) -> None:
        """A JSON value on standard output, in one line."""
        sys.stdout.write(json_line(told))
        sys.stdout.flush()

    def show(self, text: str) -> None:
        """A line of the result for people; nothing where JSON is asked for."""
        if not self.as_json:
            self.out.print(escape(plain(text)))


def _width() -> int | None:
    # A pipe has no width: what is read by a program is not cut.
    return None if sys.stdout.isatty() else PIPE_WIDTH


def command(*, patience_s: float = PATIENCE_S) -> Callable[[Command], Callable[..., None]]:
    """A function of a session and its own options as a command: it gets the options that all share, and faults become exit codes.

    A fault is one sentence on standard error, and with ``--json`` an object ``error`` on standard output. ``patience_s``: the default.
    """
    shared: dict[str, tuple[Any, Any]] = {
        "server": (options.ServerUrl, options.DEFAULT_URL),
        "token": (options.Token, ""),
        "patience": (options.Patience, patience_s),
        "as_json": (options.Json, False),
    }

    def made(function: Command) -> Callable[..., None]:
        def run(**given: Any) -> None:
            url, token, patience, as_json = (given.pop(name) for name in shared)
            try:
                with Session(url, token, as_json, patience) as session:
                    function(session, **given)
            except ClientError as fault:
                _end(fault, as_json=as_json)
            except KeyboardInterrupt:
                raise typer.Exit(INTERRUPTED) from None

        hints = get_type_hints(function, include_extras=True)
        own = [
            parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in inspect.signature(function).parameters.items()
            if name != "session"
        ]
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
            for name, (kind, default) in shared.items()
        ]
        # What typer reads: the command's own options, then the shared ones.
        run.__name__, run.__doc__ = function.__name__, function.__doc__
        run.__signature__ = inspect.Signature([*own, *added])
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *added)}
        return run

    return made


def _end(fault: ClientError, *, as_json: bool) -> NoReturn:
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"expeditor: {escape(plain(str(fault)))}")
    if as_json:
        told: dict[str, Any] = {"code": fault.code, "message": str(fault.args[0])}
        if isinstance(fault, Refused):
            told["status"] = fault.status
            told["errors"] = [
                {"pointer": each.pointer, "message": each.message, "hint": each.hint} for each in fault.faults
            ]
        sys.stdout.write(json_line({"error": told}))
    raise typer.Exit(fault.exit_code) from fault
