"""``expeditor submit`` and ``expeditor watch``: one job, from its file to its results."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from ..api import Wish
from ..connect import Server, with_expeditor
from ..faults import ENDED_BADLY, BadInput
from ..following import follow, happenings
from ..options import (
    Check,
    ClientId,
    ExpiresIn,
    Files,
    Front,
    Key,
    Labels,
    MaxAttempts,
    NotBefore,
    Priority,
    SaveIn,
    Sets,
    Wait,
    Watch,
    WorkflowFile,
)
from ..records import Job, JsonObject
from ..saving import save_outputs
from ..session import Session, command
from ..show import job_line
from ..workflow import Target, assignment, misspelt, read_prompt, value_of, with_inputs

PREFIX_LENGTH = 8


@command()
def submit(
    session: Session,
    workflow: WorkflowFile,
    sets: Sets = None,
    files: Files = None,
    priority: Priority = None,
    front: Front = False,
    labels: Labels = None,
    client_id: ClientId = None,
    not_before: NotBefore = None,
    expires_in: ExpiresIn = None,
    max_attempts: MaxAttempts = None,
    key: Key = None,
    wait: Wait = False,
    watch: Watch = False,
    out: SaveIn = None,
    check: Check = False,
) -> None:
    """Submit a workflow; print the job's id.

    With --wait, --watch or --out it waits for the end: exit code 1 if the job did not succeed.
    """
    prompt, pictures = _prompt_of(session, workflow, sets or [], files or [])
    wish = Wish(
        priority=priority,
        front=front or None,
        client_id=client_id,
        metadata=labels_of(labels),
        not_before=not_before,
        expires_in_s=expires_in,
        max_attempts=max_attempts,
    )
    chosen_key = _key(key)
    there = session.connect()
    prompt = with_inputs(prompt, {target: there.upload(path) for target, path in pictures.items()})
    if check:
        _check(session, there, prompt, wish)
        return
    job = there.submit(prompt, wish, key=chosen_key, repeat=key is not None)
    if session.as_json and not (wait or watch or out):
        session.emit(job.wire)
    session.show(job.id)
    if wait or watch or out:
        ended = see_through(session, there, job.id, telling=watch)
        conclude(session, there, ended, out)


@command()
def watch(
    session: Session,
    job: Annotated[str | None, typer.Argument(help="A job's id; all jobs if left out.", metavar="[JOB]")] = None,
    after: Annotated[
        str | None,
        typer.Option("--after", help="Begin behind this event of an earlier call (its cursor).", metavar="CURSOR"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Save what the job makes in this folder.", metavar="FOLDER")
    ] = None,
) -> None:
    """Tell what happens to a job until it has ended, or to all jobs until Ctrl-C.

    Goes on across lost connections and restarts of the server. With --json a line for each change (one job: the job; all jobs: the event).
    """
    there = session.connect()
    if job is None:
        _watch_all(session, there, after)
        return
    ended = see_through(session, there, job, telling=True)
    conclude(session, there, ended, out)


def see_through(session: Session, there: Server, job_id: str, *, telling: bool) -> Job:
    """The job once it has ended; with ``telling`` a line for each change. Ctrl-C says how to go on."""
    job = Job(job_id, "queued")
    said = ""
    try:
        for job in follow(there, job_id, session.say):
            line = job_line(job)
            if telling and session.as_json and not job.ended:
                session.emit(job.wire)
            elif telling and line != said and not job.ended:
                session.say(line)
            said = line
    except KeyboardInterrupt:
        session.say(
            f"The job goes on. To see it through: expeditor watch {job_id}; to end it: expeditor cancel {job_id}"
        )
        raise
    return job


def conclude(session: Session, there: Server, job: Job, out: Path | None) -> None:
    """Say how a job ended and save its files. Raises the exit for one that did not succeed."""
    saved: list[str] = []
    if out is not None:
        for path in save_outputs(there, job, out, f"{job.id[:PREFIX_LENGTH]}_"):
            saved.append(str(path))
            session.show(f"saved {path}")
    if session.as_json:
        session.emit({**job.wire, **({"saved": saved} if out is not None else {})})
    else:
        session.say(job_line(job))
        if job.remedy:
            session.say(f"  {job.remedy}")
    if not job.succeeded:
        raise typer.Exit(ENDED_BADLY)


def labels_of(texts: list[str] | None) -> dict[str, str] | None:
    """``KEY=VALUE`` texts as metadata."""
    if not texts:
        return None
    for text in texts:
        if "=" not in text:
            raise BadInput(f"{text!r} must be KEY=VALUE")
    return dict(text.split("=", 1) for text in texts)


def _watch_all(session: Session, there: Server, after: str | None) -> None:
    for event in happenings(with_expeditor(there, "watching all jobs"), session.say, after=after):
        if session.as_json:
            session.emit({"type": event.type, "cursor": event.cursor, **event.told})
        elif event.type != "job.preview":
            session.show(f"{event.job_id}  {event.type.removeprefix('job.')}  {_gist(event.told)}".rstrip())


def _gist(told: JsonObject) -> str:
    for name in ("output", "progress", "error"):
        part: Any = told.get(name)
        if isinstance(part, dict):
            found: Any = part.get("name") or part.get("message") or part.get("value")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
            return f"{found:.0%}" if isinstance(found, float) else str(found)  # pyright: ignore[reportUnknownArgumentType]
    return str(told.get("cause") or "")


def _prompt_of(
    session: Session, workflow: str, sets: list[str], files: list[str]
) -> tuple[JsonObject, dict[Target, Path]]:
    """The prompt with its inputs set, and the files that are to be uploaded for it; all of it checked before anything is sent."""
    prompt = read_prompt(workflow, sys.stdin)
    chosen = [assignment(text) for text in sets]
    pictures = {target: Path(path) for target, path in map(assignment, files)}
    for sentence in misspelt(prompt, [*(target for target, _ in chosen), *pictures]):
        session.say(f"note: {sentence}")
    for path in pictures.values():
        if not path.is_file():
            raise BadInput(f"{path} is no file.")
    prompt = with_inputs(prompt, {target: value_of(text) for target, text in chosen})
    with_inputs(prompt, dict.fromkeys(pictures, ""))
    return prompt, pictures


def _key(given: str | None) -> str:
    if given is None:
        return str(uuid.uuid4())
    try:
        return str(uuid.UUID(given))
    except ValueError as fault:
        raise BadInput(f"{given!r} is not a UUID.") from fault


def _check(session: Session, there: Server, prompt: JsonObject, wish: Wish) -> None:
    verdict = with_expeditor(there, "--check").validate(prompt, wish)
    if session.as_json:
        session.emit(verdict)
    else:
        session.show(f"valid: {verdict['nodes']} nodes, about {verdict['estimated_s']} s")
