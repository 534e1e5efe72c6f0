"""The scripts that run in Redis: ours, joined at run time with those of the installed ``bullmq`` package.

Owns how they are joined, loaded and called. BullMQ's text is taken from its package as it is: each script becomes a function
of its own, so that one script of ours can move a job in BullMQ and write our record of it in the same moment.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from importlib import resources
from typing import Any

import redis
from redis.exceptions import NoScriptError

_MOVES = (
    "addDelayedJob-6",
    "addPrioritizedJob-9",
    "changePriority-7",
    "moveToActive-11",
    "moveToDelayed-11",
    "moveToFinished-14",
    "pause-7",
    "promote-9",
    "removeJob-2",
    "retryJob-11",
)


IDLE_S = 0.5
"""After so long without a word it is looked whether the connection is still there."""


class AnswerLost(redis.ConnectionError):
    """It was asked for, and the connection broke before an answer came: nobody knows whether it was done."""


class AnswerLate(redis.TimeoutError):
    """It was asked for, and no answer came in time: nobody knows whether it was done."""


class Scripts:
    """The scripts on one connection."""

    def __init__(self, client: redis.Redis) -> None:
        """Read nothing yet."""
        self.client = client
        self._wire: Any = None
        self._used_at_s = 0.0
        self._heads: dict[tuple[str, ...], bytes] = {}

    @cached_property
    def _commit(self) -> Any:
        text = "\n".join(_function_of(name) for name in _MOVES) + _own("moves") + _own("view") + _own("commit")
        return self.client.register_script(text)

    @cached_property
    def _extend(self) -> Any:
        return self.client.register_script(_bullmqs("extendLocks-1"))

    @cached_property
    def _hold(self) -> Any:
        return self.client.register_script(_own("hold"))

    def commit(self, keys: Sequence[str], asked: bytes) -> Any:
        """See ``commit.lua``: a word and what goes with it.

        On a connection of its own: a pool looks at each before it lends it, and that is most of a commit's cost.
        """
        if self._wire is None:
            pool: Any = self.client.connection_pool
            self._wire = pool.get_connection()
        if time.monotonic() - self._used_at_s > IDLE_S:
            self._let_go_if_broken()
        try:
            return self._evaluated(keys, asked)
        except NoScriptError:
            self._load()
            return self._evaluated(keys, asked)

    def _evaluated(self, keys: Sequence[str], asked: bytes) -> Any:
        command = self._head(keys) + b"$%d\r\n%b\r\n" % (len(asked), asked)
        self._wire.send_packed_command([command], check_health=False)
        try:
            answer = self._wire.read_response(disconnect_on_error=True)
        except redis.BusyLoadingError:
            raise
        except redis.ConnectionError as fault:
            if isinstance(fault.__context__, redis.ReadOnlyError):
                raise
            raise AnswerLost(str(fault)) from fault
        except redis.TimeoutError as fault:
            raise AnswerLate(str(fault)) from fault
        self._used_at_s = time.monotonic()
        return [answer, ()] if isinstance(answer, bytes) else answer

    def _let_go_if_broken(self) -> None:
        try:
            broken = self._wire.can_read(timeout=0)
        except (redis.RedisError, OSError):
            broken = True
        if broken:
            self._wire.disconnect()

    def _head(self, keys: Sequence[str]) -> bytes:
        """The command up to its last word, as it is sent."""
        head = self._heads.get(tuple(keys))
        if head is None:
            words = [word.encode("utf-8") for word in ("EVALSHA", self._commit.sha, str(len(keys)), *keys)]
            parts = (b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
            head = self._heads[tuple(keys)] = b"*%d\r\n" % (len(words) + 1) + b"".join(parts)
        return head

    def _load(self) -> None:
        self._wire.send_command("SCRIPT LOAD", self._commit.script, check_health=False)
        self._wire.read_response(disconnect_on_error=True)

    def extend(self, prefix: str, tokens: bytes, ids: bytes, lease_ms: int) -> Any:
        """BullMQ's renewal of many leases; gives the ids of those that are lost."""
        return self._extend(keys=[prefix + "stalled"], args=[prefix, tokens, ids, lease_ms])

    def hold(self, asked: bytes, lease_ms: int) -> Any:
        """See ``hold.lua``."""
        return self._hold(keys=[], args=[asked, lease_ms])


def _function_of(name: str) -> str:
    return f"local function {name.partition('-')[0]}(KEYS, ARGV)\n{_bullmqs(name)}\nend\n"


def _bullmqs(name: str) -> str:
    return (resources.files("bullmq") / "commands" / f"{name}.lua").read_text(encoding="utf-8")


def _own(name: str) -> str:
    return (resources.files(__package__ or "") / f"{name}.lua").read_text(encoding="utf-8") + "\n"
