"""A long sorted line of jobs in short blocks, so that a place in it costs a few sums and no walk.

Owns the order (``ordering.sort_key``) and the sums of each block, which are made when they are asked for and kept until
the block changes. Knows nothing of statuses.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice

from ..jobs.model import Job
from ..jobs.ordering import sort_key

BLOCK_MAX = 512
"""A block of more jobs is split in two."""

Key = tuple[float, float, int]


def key_of(job: Job) -> Key:
    """The job's place in every line."""
    return sort_key(job.score, job.number, job.seq)


class Sums:
    """What stands in a stretch of the line."""

    __slots__ = ("by_principal", "by_priority", "jobs", "oldest_queued_at_s", "work_s")

    def __init__(self, jobs: list[Job]) -> None:
        """Of these jobs."""
        self.jobs = len(jobs)
        self.work_s = _work_s(jobs)
        self.oldest_queued_at_s = min((job.queued_at_s for job in jobs), default=None)
        self.by_priority = Counter(job.priority for job in jobs)
        self.by_principal = Counter(job.principal.name for job in jobs)


class _Block:
    __slots__ = ("_sums", "_work_s", "jobs", "keys")

    def __init__(self, keys: list[Key], jobs: list[Job]) -> None:
        self.keys = keys
        self.jobs = jobs
        self.changed()

    def changed(self) -> None:
        self._sums: Sums | None = None
        self._work_s: float | None = None

    def sums(self) -> Sums:
        if self._sums is None:
            self._sums = Sums(self.jobs)
        return self._sums

    def work_s(self) -> float:
        if self._work_s is None:
            self._work_s = _work_s(self.jobs)
        return self._work_s


class SortedBlocks:
    """Jobs in order. One thread at a time."""

    def __init__(self) -> None:
        """Empty."""
        self._blocks: list[_Block] = []
        self._firsts: list[Key] = []  # at most the smallest key of each block

    def add(self, job: Job) -> None:
        """Put a job in its place."""
        key = key_of(job)
        if not self._blocks:
            self._blocks.append(_Block([], []))
            self._firsts.append(key)
        number = self._number(key)
        block = self._blocks[number]
        at = bisect_left(block.keys, key)
        block.keys.insert(at, key)
        block.jobs.insert(at, job)
        block.changed()
        self._firsts[number] = block.keys[0]
        if len(block.keys) > BLOCK_MAX:
            self._split(number)

    def remove(self, job: Job) -> None:
        """Take out a job that stands here."""
        key = key_of(job)
        number = self._number(key)
        block = self._blocks[number]
        at = bisect_left(block.keys, key)
        assert block.keys[at] == key, "only what stands here is taken out"
        del block.keys[at], block.jobs[at]
        block.changed()
        if not block.keys:
            del self._blocks[number], self._firsts[number]

    def __iter__(self) -> Iterator[Job]:
        """All jobs in order."""
        return chain.from_iterable(block.jobs for block in self._blocks)

    def first(self, limit: int) -> list[Job]:
        """The first jobs."""
        return list(islice(self, limit))

    def place(self, job: Job) -> tuple[int, float]:
        """How many stand before a job, and their estimated seconds."""
        blocks, rest = self._before(job)
        jobs = sum(len(block.jobs) for block in blocks) + len(rest)
        return jobs, sum(block.work_s() for block in blocks) + _work_s(rest)

    def before(self, job: Job) -> list[Sums]:
        """What stands before a job, in stretches from the first on."""
        blocks, rest = self._before(job)
        return [*(block.sums() for block in blocks), Sums(rest)]

    def spans(self) -> list[Sums]:
        """All that stands here, in stretches."""
        return [block.sums() for block in self._blocks]

    def _before(self, job: Job) -> tuple[list[_Block], list[Job]]:
        key = key_of(job)
        number = self._number(key)
        block = self._blocks[number]
        return self._blocks[:number], block.jobs[: bisect_left(block.keys, key)]

    def _number(self, key: Key) -> int:
        """Which block a key belongs in."""
        at = bisect_left(self._firsts, key)
        exact = at < len(self._firsts) and self._firsts[at] == key
        return at if exact else max(0, at - 1)

    def _split(self, number: int) -> None:
        block = self._blocks[number]
        half = len(block.keys) // 2
        second = _Block(block.keys[half:], block.jobs[half:])
        del block.keys[half:], block.jobs[half:]
        block.changed()
        self._blocks.insert(number + 1, second)
        self._firsts.insert(number + 1, second.keys[0])


def _work_s(jobs: list[Job]) -> float:
    return sum(job.estimated_s for job in jobs)
