"""Questions that a node asks a person and waits to have answered: what is asked, and what of it a stored job keeps.

Pure records. Owns neither who answers first (``events.mailbox``) nor when a waiting prompt is parked (``host``) or stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


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
class JobWait:
    """One wait of a parked job, as its store keeps it. ``answer`` is the message as it was sent, None while nobody did.

    A node finds its own by ``node_id`` when its job runs again. Times are seconds since the epoch.
    """

    token: str
    node_id: str
    ask: Ask
    opened_at_s: float
    deadline_at_s: float
    max_bytes: int
    answer: str | None = None
