"""The program ``expeditor``: its commands in one list. Owns no command."""

from __future__ import annotations

from collections.abc import Callable

import typer

from .commands import answering, batch, changing, doctor, looking, moving, submitting, workers

HELP = """Submit jobs to a ComfyUI, watch them, and run its queue.

Works with Expeditor; with a ComfyUI without it as far as that can do it: submit, watch, batch, jobs, job, cancel,
queue, doctor.

Results go to standard output, messages to standard error.
"""

COMMANDS: tuple[Callable[..., None], ...] = (
    submitting.submit,
    submitting.watch,
    batch.batch,
    looking.jobs,
    looking.job,
    looking.queue,
    changing.cancel,
    changing.retry,
    changing.priority,
    changing.hold,
    changing.release,
    changing.pause,
    changing.resume,
    changing.drain,
    answering.waiting,
    answering.answer,
    workers.workers,
    doctor.doctor,
    moving.migrate,
)
"""In the order of the help."""

app = typer.Typer(
    name="expeditor", help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
for _command in COMMANDS:
    app.command()(_command)


def main() -> int:
    """Run the command line of this process; the exit code is one of ``faults.EXIT_CODES``."""
    app()
    return 0
