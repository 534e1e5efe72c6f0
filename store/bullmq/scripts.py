"""The scripts that run in Redis: ours, joined at run time with those of the installed ``bullmq`` package.

Owns how they are joined, loaded and called. BullMQ's text is taken from its package as it is: each script becomes a function
of its own, so that one script of ours can move a job in BullMQ and write our record of it in the same moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib import resources
from typing import Any

import redis

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


class Scripts:
    """The scripts on one connection."""

    def __init__(self, client: redis.Redis) -> None:
        """Read nothing yet."""
        self.client = client

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
        """See ``commit.lua``."""
        return self._commit(keys=keys, args=[asked])

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
