"""The line of jobs that can be claimed, pool by pool: an instance claims from the pools that it serves, in one order over all of them.

Owns the merge, and that a job which came with a partner key is claimed where it was submitted alone: the key is in that process' memory
and nowhere else. A job's place is among those of its own pool.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection
from itertools import islice

from ...jobs.belonging import is_home
from ...jobs.model import Job
from ..blocks import Before, SortedBlocks, key_of


class PooledLine:
    """``line.Waiting`` over pools. ``served``: those whose jobs ``first`` gives; None: all. ``here``: this instance's name."""

    def __init__(self, served: Collection[str] | None, here: str | None = None) -> None:
        """Empty."""
        self._here = here
        self._bound: set[str] = set()  # jobs whose keys other instances have
        self._served = None if served is None else frozenset(served)
        self._pools: defaultdict[str, SortedBlocks] = defaultdict(SortedBlocks)

    def add(self, job: Job) -> None:
        """See ``Waiting``."""
        self._pools[job.pool].add(job)
        if self._is_bound(job):
            self._bound.add(job.id)

    def remove(self, job: Job) -> None:
        """See ``Waiting``."""
        self._pools[job.pool].remove(job)
        self._bound.discard(job.id)

    def first(self, limit: int) -> list[Job]:
        """See ``Waiting``. Of the pools that are served, but for jobs whose keys other instances have."""
        lines = [line for pool, line in self._pools.items() if self._served is None or pool in self._served]
        if len(lines) == 1 and not self._bound:
            return lines[0].first(limit)
        merged = heapq.merge(*lines, key=key_of)
        return list(islice((job for job in merged if job.id not in self._bound), limit))

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

    def _is_bound(self, job: Job) -> bool:
        return job.needs_secret and not is_home(job, self._here)
