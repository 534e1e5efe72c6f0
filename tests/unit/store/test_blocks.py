"""A line longer than one block: what it says of a place is what a walk over all that stand before it says."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from expeditor.jobs.model import Job, Principal
from expeditor.store.blocks import BLOCK_MAX, SortedBlocks, key_of
from tests.conformance.harness import MemoryStorage, enqueue


@pytest.fixture
def jobs() -> list[Job]:
    """Some blocks' worth, in no order."""
    rng = random.Random("blocks")
    storage = MemoryStorage()
    one = enqueue(storage.start(), "one")
    storage.stop()
    return [
        replace(
            one,
            seq=seq,
            priority=rng.choice((1, 3, 10)),
            principal=Principal(rng.choice("abc")),
            score=rng.uniform(0, 1000),
            estimated_s=float(rng.randint(1, 30)),
            queued_at_s=rng.uniform(0, 1000),
        )
        for seq in range(4 * BLOCK_MAX)
    ]


def test_a_long_line_counts_as_a_walk_over_it_does(jobs):
    rng, line, waiting = random.Random("changes"), SortedBlocks(), list[Job]()
    for job in jobs:
        line.add(job)
        waiting.append(job)
        if rng.random() < 0.3:
            gone = waiting.pop(rng.randrange(len(waiting)))
            line.remove(gone)
    waiting.sort(key=key_of)
    assert list(line) == waiting
    assert line.oldest_queued_at_s() == min(job.queued_at_s for job in waiting)
    for at in (0, 1, BLOCK_MAX, *rng.sample(range(len(waiting)), 50), len(waiting) - 1):
        job, before = waiting[at], waiting[:at]
        work_s = sum(other.estimated_s for other in before)
        own = sum(other.principal == job.principal for other in before)
        assert line.before(job) == (Counter(other.priority for other in before), own, work_s)
        assert line.place(job) == (at, work_s)


def test_a_line_that_everybody_left_counts_nothing(jobs):
    line = SortedBlocks()
    for job in jobs:
        line.add(job)
    for job in jobs[1:]:
        line.remove(job)
    assert line.before(jobs[0]) == ({}, 0, 0)
    line.remove(jobs[0])
    assert (list(line), line.oldest_queued_at_s()) == ([], None)
