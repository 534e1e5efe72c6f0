"""What a member begins with, read from Redis page by page: nobody else waits for a queue of very many jobs to be told at once.

Owns that the pages, and what others committed while they were read, make one state of the queue. Keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import redis

from ...jobs.errors import StoreUnavailable
from .keys import Keys, id_of_key
from .packing import unpacked
from .records import Kept, readable
from .rows import STATE_FIELDS, State

PAGE_JOBS = 1000
_COMMITS_AT_ONCE = 500
_TRIES = 3


class Opening(NamedTuple):
    """The queue as it stood at one moment: its head, every unfinished job that this version can read, finish tags, pools."""

    state: State
    live: list[Kept]
    tags: dict[bytes, bytes]
    pools: set[bytes]


class _Overtaken(Exception):
    """The log of commits does not reach back to where the reading began, or the queue was replaced."""


def read(client: redis.Redis, keys: Keys, page_jobs: int = PAGE_JOBS) -> Opening:
    """Look at everything; there must be a queue. ``StoreUnavailable`` when others commit faster than it can be read."""
    for _ in range(_TRIES):
        try:
            return _Reader(client, keys, page_jobs).read()
        except _Overtaken:
            continue
    raise StoreUnavailable("The shared queue changes too fast to be read.")


class _Reader:
    """Reads once."""

    def __init__(self, client: redis.Redis, keys: Keys, page_jobs: int) -> None:
        self._client: Any = client
        self._keys = keys
        self._page_jobs = page_jobs

    def read(self) -> Opening:
        """The pages first: a job that was changed meanwhile stands in the log of commits, and is looked at once more."""
        begun = State.of(self._client.hmget(self._keys("meta"), STATE_FIELDS))
        assert begun is not None, "there is a queue"
        jobs = {kept.job.id: kept for kept in readable(self._pages()) if kept is not None}
        version = begun.version
        while True:
            state, entries, tags, pools = self._since(version)
            if state is None or state.birth != begun.birth:
                raise _Overtaken
            if not entries and state.version == version:
                return Opening(state, list(jobs.values()), tags, pools)
            version = self._take_over(entries, version, jobs)

    def _pages(self) -> Iterator[tuple[str, bytes]]:
        cursor = -1
        while cursor:
            cursor, page = self._client.hscan(self._keys("live"), max(cursor, 0), count=self._page_jobs)
            yield from ((id_of_key(key), packed) for key, packed in page.items())

    def _since(self, version: int) -> tuple[State | None, list[Any], dict[bytes, bytes], set[bytes]]:
        """The head and what stands beside the jobs, and the next commits after this version, in one moment."""
        keys, pipe = self._keys, self._client.pipeline(transaction=True)
        pipe.hmget(keys("meta"), STATE_FIELDS).xrange(keys("changes"), f"{version + 1}-0", "+", _COMMITS_AT_ONCE)
        head, entries, tags, pools = pipe.hgetall(keys("tags")).smembers(keys("pools")).execute()
        return State.of(head), entries, tags, pools

    def _take_over(self, entries: list[Any], version: int, jobs: dict[str, Kept]) -> int:
        """Look at the jobs of these commits once more; the version of the last of them."""
        versions = [int(name.partition(b"-")[0]) for name, _ in entries]
        if versions != list(range(version + 1, version + 1 + len(entries))) or not entries:
            raise _Overtaken
        changed = list(dict.fromkeys(key for _, fields in entries for key in unpacked(fields[b"j"])))
        packed: list[bytes | None] = self._client.hmget(self._keys("live"), changed) if changed else []
        ids = [id_of_key(key) for key in changed]
        for job_id, kept in zip(ids, readable(zip(ids, packed, strict=True)), strict=True):
            if kept is None:
                jobs.pop(job_id, None)
            else:
                jobs[job_id] = kept
        return versions[-1]
