"""A long sorted line of jobs in short blocks, so that a place in it costs a few sums and no walk.

Owns the order (``ordering.sort_key``), and what each block adds up to. Knows nothing of statuses.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from typing import NamedTuple, TypeVar

from ..jobs.model import Job
from ..jobs.ordering import sort_key

BLOCK_MAX = 512
"""A block of more jobs is split in two."""

Key = tuple[float, float, int]
_Counted = TypeVar("_Counted")


def key_of(job: Job) -> Key:
    """The job's place in every line."""
    return sort_key(job.score, job.number, job.seq)


class Before(NamedTuple):
    """What stands before a job: how many jobs per priority, how many of its own principal, and their estimated seconds."""

    by_priority: dict[int, int]
    own: int
    work_s: float


class _Block:
    """Jobs in order. What is counted is kept up with each change; what roundings would spoil is summed up when it is asked for."""

    __slots__ = ("_oldest_s", "_work_s", "by_principal", "by_priority", "jobs", "keys")

    def __init__(self, keys: list[Key], jobs: list[Job]) -> None:
        self.keys = keys
        self.jobs = jobs
        self.by_priority = _by_priority(jobs)
        self.by_principal = Counter(job.principal.name for job in jobs)
        self._changed()

    def insert(self, at: int, key: Key, job: Job) -> None:
        self.keys.insert(at, key)
        self.jobs.insert(at, job)
        self.by_priority[job.priority] += 1
        self.by_principal[job.principal.name] += 1
        self._changed()

    def delete(self, at: int) -> None:
        job = self.jobs[at]
        del self.keys[at], self.jobs[at]
        _less(self.by_priority, job.priority)
        _less(self.by_principal, job.principal.name)
        self._changed()

    def work_s(self) -> float:
        if self._work_s is None:
            self._work_s = _work_s(self.jobs)
        return self._work_s

    def oldest_queued_at_s(self) -> float:
        if self._oldest_s is None:
            self._oldest_s = min(job.queued_at_s for job in self.jobs)
        return self._oldest_s

    def _changed(self) -> None:
        self._work_s: float | None = None
        self._oldest_s: float | None = None


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
        block.insert(bisect_left(block.keys, key), key, job)
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
        block.delete(at)
        if not block.keys:
            del self._blocks[number], self._firsts[number]

    def __iter__(self) -> Iterator[Job]:
        """All jobs in order."""
        return chain.from_iterable(block.jobs for block in self._blocks)

    def first(self, limit: int) -> list[Job]:
        """The first jobs."""
        return list(islice(self, limit))

    def head_score(self, but: str) -> float | None:
        """The score of the first job other than ``but``."""
        return next((job.score for job in self.first(2) if job.id != but), None)

    def place(self, job: Job) -> tuple[int, float]:
        """How many stand before a job, and their estimated seconds."""
        blocks, rest = self._before(job)
        jobs = sum(len(block.jobs) for block in blocks) + len(rest)
        return jobs, sum(block.work_s() for block in blocks) + _work_s(rest)

    def before(self, job: Job) -> Before:
        """What stands before a job."""
        blocks, rest = self._before(job)
        by_priority, name = _by_priority(rest), job.principal.name
        own = sum(other.principal.name == name for other in rest)
        for block in blocks:
            own += block.by_principal.get(name, 0)
            for priority, jobs in block.by_priority.items():
                by_priority[priority] += jobs
        return Before(dict(by_priority), own, sum(block.work_s() for block in blocks) + _work_s(rest))

    def oldest_queued_at_s(self) -> float | None:
        """When the job was queued that waits longest."""
        return min((block.oldest_queued_at_s() for block in self._blocks), default=None)

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
        self._blocks[number : number + 1] = [_Block(block.keys[:half], block.jobs[:half]), second]
        self._firsts.insert(number + 1, second.keys[0])


def _work_s(jobs: list[Job]) -> float:
    return sum(job.estimated_s for job in jobs)


def _by_priority(jobs: list[Job]) -> Counter[int]:
    return Counter(job.priority for job in jobs)


def _less(counts: Counter[_Counted], what: _Counted) -> None:
    counts[what] -= 1
    if not counts[what]:
        del counts[what]
