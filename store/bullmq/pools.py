"""The line of jobs that can be claimed, pool by pool: an instance claims from the pools that it serves, in one order over all of them.

Owns the merge. A job's place is among those of its own pool.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection
from itertools import islice

from ...jobs.model import Job
from ..blocks import Before, SortedBlocks, key_of


class PooledLine:
    """``line.Waiting`` over pools. ``served``: those whose jobs ``first`` gives; None: all."""

    def __init__(self, served: Collection[str] | None) -> None:
        """Empty."""
        self._served = None if served is None else frozenset(served)
        self._pools: defaultdict[str, SortedBlocks] = defaultdict(SortedBlocks)

    def add(self, job: Job) -> None:
        """See ``Waiting``."""
        self._pools[job.pool].add(job)

    def remove(self, job: Job) -> None:
        """See ``Waiting``."""
        self._pools[job.pool].remove(job)

    def first(self, limit: int) -> list[Job]:
        """See ``Waiting``. Of the pools that are served."""
        lines = [line for pool, line in self._pools.items() if self._served is None or pool in self._served]
        return lines[0].first(limit) if len(lines) == 1 else list(islice(heapq.merge(*lines, key=key_of), limit))

    def head_score(self, but: str) -> float | None:
        """See ``Waiting``. Of all pools: who asks for the front stands before everybody."""
        scores = [score for line in self._pools.values() if (score := line.head_score(but)) is not None]
        return min(scores, default=None)

    def place(self, job: Job) -> tuple[int, float]:
        """See ``Waiting``."""
        return self._pools[job.pool].place(job)

    def before(self, job: Job) -> Before:
        """See ``Waiting``."""
        return self._pools[job.pool].before(job)

    def oldest_queued_at_s(self) -> float | None:
        """See ``Waiting``."""
        return min((s for line in self._pools.values() if (s := line.oldest_queued_at_s()) is not None), default=None)
