"""One open wait: its facts as anybody may know them, and the end of it that its node holds.

Owns the one JSON form of a wait that route and socket event share. Does not own who answers first, nor which waits are open (``mailbox``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ..jobs.errors import StoreUnavailable
from ..jobs.model import JsonObject
from ..jobs.times import rfc3339
from ..jobs.waits import Ask, AskKind, JobWait

ROUTE = "/expeditor/messages"


@dataclass(frozen=True, slots=True)
class PendingWait:
    """One open wait and its question; times are seconds since the epoch."""

    token: str
    prompt_id: str
    node_id: str
    ask: Ask
    opened_at_s: float
    deadline_at_s: float
    max_bytes: int

    @classmethod
    def of(cls, prompt_id: str, record: JobWait) -> PendingWait:
        """What a stored job asks."""
        times = (record.opened_at_s, record.deadline_at_s)
        return cls(record.token, prompt_id, record.node_id, record.ask, *times, record.max_bytes)

    def describe(self) -> JsonObject:
        """The wait as JSON: ``token node_id prompt_id kind label text images least most opened_at deadline_at max_bytes``, times in
        RFC 3339 with Z; ``least`` and ``most`` are None where nothing is chosen."""
        picks = self.ask.kind is AskKind.PICK
        return {
            "token": self.token,
            "node_id": self.node_id,
            "prompt_id": self.prompt_id,
            "kind": self.ask.kind.value,
            "label": self.ask.label,
            "text": self.ask.text,
            "images": [{"url": f"{ROUTE}/{self.token}/images/{number}"} for number in range(self.ask.pictures)],
            "least": self.ask.least if picks else None,
            "most": self.ask.most if picks else None,
            "opened_at": rfc3339(self.opened_at_s),
            "deadline_at": rfc3339(self.deadline_at_s),
            "max_bytes": self.max_bytes,
        }


@dataclass(frozen=True, slots=True)
class Delivered:
    """Which wait a message reached."""

    token: str
    node_id: str
    prompt_id: str


class BeingParked(StoreUnavailable):
    """The wait is a parked job's: its answer goes into the store (``parked_waits``)."""


class Wait:
    """A waiting node's end of the mailbox; made by the mailbox only. ``parked``: its job has left the machine, or is about to; ``stored``:
    and that is committed; ``away``: it left another instance's."""

    def __init__(self, pending: PendingWait, clock: Callable[[], float], index: int = 0) -> None:
        """Join the wait's facts with the clock that judges its deadline. ``index``: which of its node's calls asks."""
        self.index = index
        self.pending = pending
        self._clock = clock
        self._answered = threading.Event()
        self._message: str | None = None
        self.parked = False
        self.stored = False
        self.away = False

    @property
    def node_id(self) -> str:
        """The node that asks."""
        return self.pending.node_id

    def record(self) -> JobWait:
        """The wait as it stands."""
        asked = self.pending
        times = (asked.opened_at_s, asked.deadline_at_s)
        return JobWait(asked.token, asked.node_id, asked.ask, *times, asked.max_bytes, self._message, self.index)

    @property
    def token(self) -> str:
        """The name of this wait, unguessable and used once."""
        return self.pending.token

    @property
    def answered(self) -> bool:
        """Whether a message has come."""
        return self._answered.is_set()

    @property
    def expired(self) -> bool:
        """Whether the deadline has passed; an answer that came before it still counts."""
        return self._clock() >= self.pending.deadline_at_s

    def poll(self, timeout_s: float) -> str | None:
        """The message, waited for up to ``timeout_s`` seconds (0: just look); None when there is none yet."""
        self._answered.wait(timeout_s)
        return self._message

    def answer(self, message: str) -> None:
        """Hand over the message; called once, by the mailbox and under its lock."""
        self._message = message
        self._answered.set()
