"""``expeditor migrate``: the jobs that wait go to another queue. Runs the pack's own command in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..faults import WRONG_USE

_COMMAND = Path(__file__).absolute().parents[2] / "migrate.py"
_MODULE = "expeditor.runtime.migrate"

Address = Annotated[str, typer.Argument(help="The shared queue, for example redis://host:6379/0.", metavar="ADDRESS")]
Back = Annotated[bool, typer.Option("--back", help="From there to this ComfyUI's own queue, not from here to there.")]
Instance = Annotated[
    str | None, typer.Option("--instance", help="This ComfyUI's name among the others.", metavar="NAME")
]
Namespace = Annotated[str | None, typer.Option("--namespace", help="Of the shared queue.", metavar="NAME")]
DataDir = Annotated[
    str | None,
    typer.Option("--data-dir", help="Where this ComfyUI's queue lies: its `user/__expeditor`.", metavar="DIR"),
]
All = Annotated[bool, typer.Option("--all", help="With --back: also jobs that were submitted to other instances.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would move.")]


def migrate(
    address: Address,
    back: Back = False,
    instance: Instance = None,
    namespace: Namespace = None,
    data_dir: DataDir = None,
    everybody: All = False,
    dry_run: DryRun = False,
) -> None:
    """Move the jobs that wait to a queue that several instances share, or back. Stop this ComfyUI first.

    Runs on ComfyUI's machine, in its Python. May be killed at any moment and run again: no job is lost, none runs twice.
    """
    arguments = ["--from" if back else "--to", address]
    for name, value in (("--instance", instance), ("--namespace", namespace), ("--data-dir", data_dir)):
        arguments += [name, value] if value is not None else []
    arguments += ["--all"] * everybody + ["--dry-run"] * dry_run
    if everybody and not back:
        raise typer.BadParameter("--all goes with --back.")
    program = [str(_COMMAND)] if _COMMAND.is_file() else ["-m", _MODULE]
    try:
        code = subprocess.run([sys.executable, *program, *arguments], check=False).returncode  # noqa: S603 - our own program
    except OSError as fault:
        sys.stderr.write(f"expeditor: {fault}\n")
        raise typer.Exit(WRONG_USE) from fault
    raise typer.Exit(code)
