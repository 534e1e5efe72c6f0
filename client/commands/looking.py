"""``expeditor jobs``, ``job`` and ``queue``: looking without changing anything."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated

import typer

from ..api import PAGE, Expeditor
from ..connect import Server
from ..faults import BadInput
from ..options import JobId, Labels
from ..saving import save_outputs
from ..session import Session, command
from ..show import job_details, job_table, queue_lines
from .submitting import PREFIX_LENGTH, labels_of


@command()
def jobs(
    session: Session,
    status: Annotated[
        str | None, typer.Option("--status", help="Only these, with commas: queued, running, failed …")
    ] = None,
    cause: Annotated[str | None, typer.Option("--cause", help="Only those that ended for these causes.")] = None,
    principal: Annotated[str | None, typer.Option("--principal", help="Only those of this principal.")] = None,
    held: Annotated[bool, typer.Option("--held", help="Only those that are held back.")] = False,
    batch: Annotated[str | None, typer.Option("--batch", help="Only those of this batch of the server.")] = None,
    labels: Labels = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 50,
) -> None:
    """List jobs, newest first."""
    filters = {
        "status": status,
        "cause": cause,
        "principal": principal,
        "batch": batch,
        "held": "true" if held else None,
    }
    wanted = {name: value for name, value in filters.items() if value}
    wanted |= {f"metadata.{key}": value for key, value in (labels_of(labels) or {}).items()}
    there = session.connect()
    if isinstance(there, Expeditor) and limit <= PAGE:
        found = list(there.page(limit, **wanted).jobs)
    else:
        found = list(itertools.islice(there.jobs(**wanted), limit))
    if session.as_json:
        session.emit([job.wire for job in found])
    elif found:
        session.out.print(job_table(found))
    else:
        session.say("no jobs")


@command()
def job(
    session: Session,
    job_id: JobId,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Save what it made in this folder.", metavar="FOLDER")
    ] = None,
) -> None:
    """Show one job: how it stands, why it waits or failed, what it made."""
    there: Server = session.connect()
    found = there.job(job_id)
    if session.as_json:
        session.emit(found.wire)
    for line in job_details(found):
        session.show(line)
    if out is not None:
        if not found.ended:
            raise BadInput(f"The job {job_id} has not ended. To wait for it: expeditor watch {job_id} --out {out}")
        for path in save_outputs(there, found, out, f"{found.id[:PREFIX_LENGTH]}_"):
            session.show(f"saved {path}")


@command()
def queue(session: Session) -> None:
    """Show how much waits and runs."""
    told = session.connect().queue()
    if session.as_json:
        session.emit(told)
    for line in queue_lines(told):
        session.show(line)
