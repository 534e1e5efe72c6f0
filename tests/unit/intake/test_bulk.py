"""Many jobs at once: what is asked of the store together, so that it shares commits."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from expeditor.intake.bulk import BulkService, Selection
from expeditor.jobs.awaiting import Awaiter
from expeditor.jobs.errors import Conflict, StoreUnavailable
from expeditor.jobs.model import JobStatus
from tests.conformance.harness import MemoryStorage, done, ending, enqueue

DEADLINE_S = 10.0
IDS = ("a", "b", "c")


class FakeRedriver:
    """Answers nobody before all have asked; `refused` fails with its error."""

    def __init__(self, refused=()):
        self._refused = dict(refused)
        self._asked = 0
        self._all_asked = asyncio.Event()

    async def redrive(self, job):
        self._asked += 1
        if self._asked == len(IDS):
            self._all_asked.set()
        await asyncio.wait_for(self._all_asked.wait(), DEADLINE_S)
        if job.id in self._refused:
            raise self._refused[job.id]
        return replace(job, status=JobStatus.QUEUED)


@pytest.fixture
def store():
    storage = MemoryStorage()
    made = storage.start()
    for job_id in IDS:
        enqueue(made, job_id)
        claim = done(made.claim())
        done(made.finish(job_id, claim.attempt, ending(JobStatus.FAILED)))
    yield made
    storage.stop()


def bulk(store, redriver):
    return BulkService(store=store, views=None, canceller=None, redriver=redriver, awaiter=Awaiter(DEADLINE_S))


async def test_the_jobs_of_a_page_are_asked_for_together(store):
    report = await bulk(store, FakeRedriver()).retry(Selection())
    assert (report.matched, report.changed, report.refused) == (3, 3, 0)


async def test_one_that_is_refused_does_not_keep_the_others(store):
    report = await bulk(store, FakeRedriver({"b": Conflict("It came with a key.")})).retry(Selection())
    assert (report.changed, report.refused) == (2, 1)
    assert [job.job_id for job in report.refused_jobs] == ["b"]


async def test_a_store_that_is_away_ends_the_walk(store):
    with pytest.raises(StoreUnavailable):
        await bulk(store, FakeRedriver({"b": StoreUnavailable("The disk is full.")})).retry(Selection())
