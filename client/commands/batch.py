"""``expeditor batch``: many jobs out of one workflow, and their results in a folder. Run it again and it goes on where it was."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from ..api import Expeditor, Wish
from ..batching import manifest
from ..batching.board import Bars
from ..batching.items import Plan, folder_axis, plan_of
from ..batching.record import Record, open_record
from ..batching.runner import Options, Runner, Stopper, begin_again
from ..connect import Server
from ..faults import ENDED_BADLY, INTERRUPTED, BadInput
from ..options import (
    ClientId,
    Files,
    Labels,
    MaxAttempts,
    Priority,
    Sets,
    WorkflowFile,
)
from ..records import JsonObject
from ..session import Session, command
from ..show import duration
from ..sweeps import Axis, axes_of
from ..workflow import assignment, misspelt, read_prompt, value_of, with_inputs
from .submitting import labels_of

Sweeps = Annotated[
    list[str] | None,
    typer.Option(
        "--sweep", help="Values of an input: 1..20, 0..1..0.25, a,b,c, [1,2] or @file.", metavar="NODE.INPUT=VALUES"
    ),
]
Zips = Annotated[
    list[str] | None,
    typer.Option("--zip", help="As --sweep, but all --zip walk together.", metavar="NODE.INPUT=VALUES"),
]
Inputs = Annotated[
    str | None, typer.Option("--inputs", help="A job for each file of a folder.", metavar="NODE.INPUT=FOLDER")
]
Times = Annotated[int, typer.Option("--times", min=1, help="Each choice of values so often.")]
Workers = Annotated[int, typer.Option("--workers", "-j", min=1, max=64, help="So many submits at a time.")]
Results = Annotated[
    Path, typer.Option("--out", "-o", help="Results, manifest and state; the same again goes on.", metavar="FOLDER")
]
SubmitOnly = Annotated[bool, typer.Option("--no-wait", help="Submit only; run it again to collect the results.")]
Singly = Annotated[
    bool, typer.Option("--singly", help="A request for each job, also where the server takes all in one.")
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Run again what ended badly.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say how many jobs it is and how long they take; submit nothing.")
]


@command()
def batch(
    session: Session,
    workflow: WorkflowFile,
    sweeps: Sweeps = None,
    zips: Zips = None,
    inputs: Inputs = None,
    sets: Sets = None,
    files: Files = None,
    times: Times = 1,
    workers: Workers = 4,
    priority: Priority = None,
    labels: Labels = None,
    client_id: ClientId = None,
    max_attempts: MaxAttempts = None,
    out: Results = Path("results"),
    no_wait: SubmitOnly = False,
    singly: Singly = False,
    retry_failed: RetryFailed = False,
    dry_run: DryRun = False,
) -> None:
    """Submit many jobs, wait for them, and save what they make.

    The jobs are the product of all --sweep, of --zip and of --inputs. Run the same command again after a Ctrl-C, a crash or a lost
    server, and only what is missing is submitted. Exit code 1 if an item did not succeed.
    """
    stopper = Stopper()
    # A full queue is what a batch expects: it waits for as long as that takes.
    session.busy_patience_s, session.sleep = None, stopper.sleep
    axes = axes_of(sweeps or [], zips or []) + _inputs(inputs)
    wish = Wish(priority=priority, client_id=client_id, metadata=labels_of(labels), max_attempts=max_attempts)
    plan = _plan(session, workflow, axes, sets or [], files or [], times, wish.fields())
    there = session.connect()
    if dry_run:
        _preview(session, there, plan)
        return
    with open_record(out, plan.digest(), len(plan.items), session.url) as record:
        try:
            if retry_failed:
                session.say(f"{begin_again(there, plan, record)} items begin again")
            _run(session, there, plan, record, Options(out, workers, wait=not no_wait, together=not singly), stopper)
            _conclude(session, manifest.manifest_of(plan, record, session.url), out, wait=not no_wait)
        finally:
            manifest.write(out, manifest.manifest_of(plan, record, session.url))


def _run(session: Session, there: Server, plan: Plan, record: Record, options: Options, stopper: Stopper) -> None:
    standings = [record.standing(item.number) for item in plan.items]
    submitted = sum(standing.job_id is not None for standing in standings)
    ended = sum(standing.settled for standing in standings)
    if record.resumed:
        session.say(f"going on: {submitted} of {len(plan.items)} were submitted, {ended} have ended")
    try:
        with Bars(session.err, len(plan.items), submitted, ended, wait=options.wait) as board:
            Runner(there, plan, record, board, options, stopper).run()
    except KeyboardInterrupt:
        session.say(
            "Stopped. Jobs that were accepted go on; the same command again submits the others and collects all results."
        )
        raise typer.Exit(INTERRUPTED) from None


def _plan(
    session: Session, workflow: str, axes: list[Axis], sets: list[str], files: list[str], times: int, wish: JsonObject
) -> Plan:
    base = read_prompt(workflow, sys.stdin)
    chosen = [assignment(text) for text in sets]
    swept = [target for axis in axes for target in axis.targets]
    for target, _ in chosen:
        if target in swept:
            raise BadInput(f"{target} is both set and swept.")
    for sentence in misspelt(base, [*(target for target, _ in chosen), *swept]):
        session.say(f"note: {sentence}")
    base = with_inputs(base, {target: value_of(text) for target, text in chosen})
    fixed = [Axis((target,), ((_file(path),),)) for target, path in map(assignment, files)]
    return plan_of(base, [*fixed, *axes], times, wish)


def _inputs(text: str | None) -> list[Axis]:
    if text is None:
        return []
    target, folder = assignment(text)
    return [folder_axis(target, Path(folder))]


def _file(path: str) -> Path:
    if not Path(path).is_file():
        raise BadInput(f"{path} is no file.")
    return Path(path)


def _preview(session: Session, there: Server, plan: Plan) -> None:
    """How many, the first few, and how long by what the server knows of such jobs; with Expeditor the first one is checked."""
    told: JsonObject = {"items": len(plan.items), "first": [item.told() for item in plan.items[:3]]}
    if isinstance(there, Expeditor) and not any(plan.items[0].files()):
        verdict = there.validate(plan.items[0].prompt(plan.base, {}), Wish(**plan.wish))
        run_s = verdict["estimated_s"] * len(plan.items) / min(there.machines(), len(plan.items))
        told["about_s"] = round(run_s + (there.queue().get("eta_s") or 0.0), 1)
    if session.as_json:
        session.emit(told)
    session.show(f"{len(plan.items)} jobs")
    for values in told["first"]:
        session.show("  " + "  ".join(f"{target}={value}" for target, value in values.items()))
    if "about_s" in told:
        session.show(f"done in about {duration(told['about_s'])}, with what waits already")


def _conclude(session: Session, told: JsonObject, folder: Path, *, wait: bool) -> None:
    if session.as_json:
        session.emit(told)
    counts: Mapping[str, int] = told["counts"]
    session.show(", ".join(f"{count} {status}" for status, count in counts.items()) + f"; results in {folder}")
    bad = sum(count for status, count in counts.items() if status not in {"succeeded", manifest.OPEN})
    unsaved = [item for item in told["items"] if item["status"] == "succeeded" and item["error"]]
    if bad:
        session.say("What ended badly runs again with --retry-failed.")
    if bad or unsaved or (wait and counts.get(manifest.OPEN)):
        raise typer.Exit(ENDED_BADLY)
