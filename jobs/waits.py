"""Questions that a node asks a person and waits to have answered: what is asked, what of it a stored job keeps, and how an answer is read.

Pure. Owns neither who answers first (``events.mailbox``) nor when a waiting prompt is parked (``host``) or stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NoReturn, cast

from .errors import Fault, InputInvalid

if TYPE_CHECKING:
    from .model import JsonObject

APPROVE, REJECT = "approve", "reject"
ASKED, CLOSED = "message.waiting", "message.closed"
"""What pages are told: a question is open, and it is open no more."""
_APPROVE_HINT = 'Send approve, reject, or JSON: {"approved": true, "text": "as edited"}.'
_PICK_HINT = 'Send the numbers of the pictures, from 0: 0,2 or JSON: {"picks": [0, 2]}.'
_PICKS = re.compile(r"[0-9]{1,9}(?:\s*,\s*[0-9]{1,9})*", re.ASCII)


class AskKind(str, Enum):
    """What sort of answer a wait takes."""

    TEXT = "text"
    APPROVE = "approve"
    PICK = "pick"


@dataclass(frozen=True, slots=True)
class Ask:
    """One question. ``text``: what can be edited before it is sent. ``pictures``: how many are shown, for ``PICK`` those to
    choose of; ``least`` and ``most``: how many of them an answer must and may choose."""

    kind: AskKind = AskKind.TEXT
    label: str = ""
    text: str = ""
    pictures: int = 0
    least: int = 1
    most: int = 1


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as a person is shown it; ``content_type`` is ``image/jpeg`` or ``image/png``."""

    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class JobWait:
    """One wait of a parked job, as its store keeps it. ``answer`` is the message as it was sent, None while nobody did.

    A node finds its own by ``node_id`` when its job runs again, and by ``index`` where it is called for each of a list. Times are seconds
    since the epoch.
    """

    token: str
    node_id: str
    ask: Ask
    opened_at_s: float
    deadline_at_s: float
    max_bytes: int
    answer: str | None = None
    index: int = 0


@dataclass(frozen=True, slots=True)
class Parked:
    """What a job that was parked keeps of it until it ends. ``waits``: all questions of its run, answered ones too, in the order in which
    they were opened. ``since_s``: when it was parked, None while it runs again. ``ready_at_s``: when the first answer let it be claimed.
    ``boot_id``: the life that parked it, which keeps what its nodes have made; empty unless that was in its last attempt."""

    waits: tuple[JobWait, ...] = ()
    since_s: float | None = None
    ready_at_s: float | None = None
    boot_id: str = ""

    @property
    def deadline_at_s(self) -> float | None:
        """When the first unanswered question is over; None when there is none."""
        return min((wait.deadline_at_s for wait in self.waits if wait.answer is None), default=None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person said. ``text``: the message, or the text as edited; ``approved``: False only where it was rejected; ``picks``: the
    pictures chosen, numbered from 0, in the order in which they were chosen."""

    text: str = ""
    approved: bool = True
    picks: tuple[int, ...] = ()


def read_answer(ask: Ask, message: str) -> Answer:
    """What ``message`` says to ``ask``. The same message always reads the same; nothing is kept.

    ``TEXT``: any text. ``APPROVE``: ``approve`` or ``reject`` (in any case), or ``{"approved": true, "text": "as edited"}``; without
    ``text`` it stays the question's. ``PICK``: ``0,2`` or ``{"picks": [0, 2]}``, the empty text for none. ``InputInvalid`` with pointer
    ``/message`` for what is none of these, or chooses too few, too many, one twice, or one that there is not.
    """
    if ask.kind is AskKind.APPROVE:
        return _approval(ask, message.strip())
    if ask.kind is AskKind.PICK:
        return Answer(picks=_fitting(ask, _picks(message.strip())))
    return Answer(text=message)


def ask_json(ask: Ask) -> JsonObject:
    """``ask`` for a wire or a store; ``ask_from`` reads it."""
    return {
        "kind": ask.kind.value,
        "label": ask.label,
        "text": ask.text,
        "pictures": ask.pictures,
        "least": ask.least,
        "most": ask.most,
    }


def ask_from(value: Mapping[str, Any]) -> Ask:
    """What ``ask_json`` wrote. Raises ``KeyError``, ``TypeError`` or ``ValueError`` for anything else, as of a later version."""
    return Ask(
        kind=AskKind(value["kind"]),
        label=str(value["label"]),
        text=str(value["text"]),
        pictures=int(value["pictures"]),
        least=int(value["least"]),
        most=int(value["most"]),
    )


def _approval(ask: Ask, message: str) -> Answer:
    word = message.lower()
    if word in (APPROVE, REJECT):
        return Answer(text=ask.text, approved=word == APPROVE)
    said = _object(message)
    if said is None:
        _refuse("This wait takes approve or reject.", _APPROVE_HINT)
    approved, text = said.get("approved"), said.get("text", ask.text)
    if not isinstance(approved, bool):
        _refuse("approved must be true or false.", _APPROVE_HINT)
    if not isinstance(text, str):
        _refuse("text must be text.", _APPROVE_HINT)
    _refuse_others(said, ("approved", "text"), _APPROVE_HINT)
    return Answer(text=text, approved=approved)


def _picks(message: str) -> tuple[int, ...]:
    if not message:
        return ()
    if _PICKS.fullmatch(message):
        return tuple(int(digits) for digits in message.split(","))
    said = _object(message)
    if said is None:
        _refuse("This wait takes the numbers of pictures.", _PICK_HINT)
    picks: Any = said.get("picks")
    if not isinstance(picks, list):
        _refuse("picks must be a list of numbers.", _PICK_HINT)
    numbers = cast("list[Any]", picks)
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in numbers):
        _refuse("picks must be a list of whole numbers.", _PICK_HINT)
    _refuse_others(said, ("picks",), _PICK_HINT)
    return tuple(numbers)


def _fitting(ask: Ask, picks: tuple[int, ...]) -> tuple[int, ...]:
    for pick in picks:
        if not 0 <= pick < ask.pictures:
            _refuse(f"There is no picture {pick}: they are numbered from 0 to {ask.pictures - 1}.", _PICK_HINT)
    if len(set(picks)) < len(picks):
        _refuse("A picture is chosen twice.", _PICK_HINT)
    if not ask.least <= len(picks) <= ask.most:
        wanted = str(ask.least) if ask.least == ask.most else f"{ask.least} to {ask.most}"
        _refuse(f"{len(picks)} pictures are chosen; this wait takes {wanted}.", _PICK_HINT)
    return picks


def _object(message: str) -> dict[str, Any] | None:
    try:
        found: Any = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def _refuse_others(said: Mapping[str, Any], known: tuple[str, ...], hint: str) -> None:
    others = sorted(set(said) - set(known))
    if others:
        _refuse(f"{', '.join(others)[:200]} is not known here.", hint)


def _refuse(message: str, hint: str) -> NoReturn:
    fault = Fault("/message", InputInvalid.code, message, hint=hint, input_name="message")
    raise InputInvalid(message, faults=(fault,))
