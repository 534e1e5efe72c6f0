"""``expeditor waiting`` and ``expeditor answer``: what waits for a person, and the answer to it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ..connect import with_expeditor
from ..faults import BadInput
from ..records import JsonObject
from ..session import Session, command
from ..show import wait_lines

VERDICTS = ("approve", "reject")


@command()
def waiting(session: Session) -> None:
    """List the nodes that wait for a person, oldest first."""
    there = with_expeditor(session.connect(), "waiting")
    waits = there.waits()
    if session.as_json:
        session.emit(waits)
    elif not waits:
        session.say("nothing waits for an answer")
    for wait in waits:
        for line in wait_lines(wait, there.transport.url):
            session.show(line)


@command()
def answer(
    session: Session,
    wait: Annotated[str, typer.Argument(help="Its token, or the beginning of it, as `waiting` shows it.")],
    message: Annotated[str, typer.Argument(help="A text; approve or reject; or numbers of pictures, such as 0,2.")],
    text: Annotated[
        str | None, typer.Option("--text", help="With approve or reject: the text as edited.", metavar="TEXT")
    ] = None,
) -> None:
    """Answer a node that waits. The first answer counts."""
    there = with_expeditor(session.connect(), "answer")
    found = _one(there.waits(), wait)
    delivered = there.answer(found, _said(message, text))
    if session.as_json:
        session.emit(delivered)
    session.show(f"answered node {delivered['node_id']} of job {delivered['prompt_id']}")


def _one(waits: list[JsonObject], token: str) -> JsonObject:
    found = [wait for wait in waits if token and str(wait["token"]).startswith(token)]
    if not found:
        raise BadInput(f"Nothing that waits has a token that begins with {token}. To see what waits: expeditor waiting")
    if len(found) > 1:
        raise BadInput(f"{len(found)} waits have a token that begins with {token}; say more of it.")
    return found[0]


def _said(message: str, text: str | None) -> str:
    if text is None:
        return message
    if message not in VERDICTS:
        raise BadInput("--text goes with approve or reject.")
    return json.dumps({"approved": message == VERDICTS[0], "text": text})
