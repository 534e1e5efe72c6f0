"""Hears the word that every commit publishes. Owns the thread and its connection; what follows from a word is the caller's.

A word may be lost: it only says that there is something to look at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import redis

from .steady import SteadyThread

AGAIN_S = 0.5
"""How long after a fault the connection is made again."""
LOOK_S = 0.25
"""How often it looks whether it is to end."""

_DIGITS_MAX = 18

_log = logging.getLogger("expeditor.store")


class Word(NamedTuple):
    """A commit: who made it, the version that it came to, and what it changed, packed; None where that was too much for a word."""

    author: str
    version: int
    told: bytes | None = None


class Listener(SteadyThread):
    """Calls ``heard`` with the word of each commit, and with None whenever it may have missed some.

    ``there`` tells whether it listens now.
    """

    def __init__(
        self, client: redis.Redis, channel: str, heard: Callable[[Word | None], None], look_s: float = LOOK_S
    ) -> None:
        """Not started yet."""
        super().__init__("expeditor-store-listen", self._run)
        self._client: Any = client
        self._channel = channel
        self._heard = heard
        self._look_s = look_s
        self.there = False
        self._away = False

    def _run(self) -> None:
        while not self.stopped.is_set():
            try:
                with self._client.pubsub() as ear:
                    ear.subscribe(self._channel)
                    self._listen(ear)
            except (redis.RedisError, OSError) as fault:
                self.there = False
                if not self._away:
                    _log.warning("the shared queue is not heard: %s", fault)
                self._away = True
                self.stopped.wait(AGAIN_S)
        self.there = False

    def _listen(self, ear: Any) -> None:
        while not self.stopped.is_set():
            word = ear.get_message(timeout=self._look_s)
            if word is not None and word["type"] == "subscribe":
                # Only now: what was committed before Redis had our name in its list would never be heard of.
                self.there, self._away = True, False
                self._heard(None)
            elif word is not None and word["type"] == "message":
                self._heard(_read(word["data"]))


def _read(word: bytes) -> Word | None:
    """None for what is no word of ours, whoever said it: then there may be something to look at."""
    author, _, rest = word.partition(b" ")
    version, _, told = rest.partition(b" ")
    if not version.isdigit() or len(version) > _DIGITS_MAX:
        return None
    return Word(author.decode("ascii", "replace"), int(version), told or None)
