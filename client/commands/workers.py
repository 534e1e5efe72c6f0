"""``expeditor workers``: the instances that share the queue; pause, drain and resume them."""

from __future__ import annotations

from typing import Annotated

import typer

from ..connect import with_expeditor
from ..faults import BadInput
from ..records import JsonObject
from ..session import Session, command
from ..show import ability_lines, worker_table

VERBS = ("show", "pause", "drain", "resume")


@command()
def workers(
    session: Session,
    verb: Annotated[
        str | None, typer.Argument(help="show, pause, drain or resume; without it they are listed.", metavar="[VERB]")
    ] = None,
    names: Annotated[list[str] | None, typer.Argument(help="Names of instances.", metavar="[NAME...]")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every instance that lives.")] = False,
) -> None:
    """List the instances that share the queue, show what some of them can run, or pause, drain or resume them."""
    there = with_expeditor(session.connect(), "instances")
    if verb is None:
        told = there.workers()
    elif verb == "show":
        _check(verb, names or [], everything=False)
        told = {"workers": [there.worker(name) for name in names or []]}
    else:
        _check(verb, names or [], everything=everything)
        asked = [there.steer_workers(verb)] if everything else [there.steer_workers(verb, name) for name in names or []]
        told = {**asked[0], "workers": [each for one in asked for each in one["workers"]]}
    _show(session, told)


def _check(verb: str, names: list[str], *, everything: bool) -> None:
    if verb not in VERBS:
        raise BadInput(f"Say show, pause, drain or resume, not {verb}.")
    if bool(names) == everything:
        raise BadInput("Name instances, or say --all.")


def _show(session: Session, told: JsonObject) -> None:
    if session.as_json:
        session.emit(told)
    elif "wished" in told:
        for each in told["workers"]:
            word = "is" if each["state"] == told["wished"] else "will in a moment be"
            session.show(f"{each['name']} {word} {told['wished']}")
    elif told["workers"]:
        session.out.print(worker_table(told["workers"]))
        for each in told["workers"]:
            for line in ability_lines(each):
                session.show(line)
