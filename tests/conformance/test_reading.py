"""What every store answers about its jobs: pages, cursors, the summary."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from expeditor.jobs.errors import InputInvalid
from expeditor.jobs.model import JobStatus
from expeditor.store.records import DepthRow, JobQuery, QueueSummary
from tests.conformance.harness import claim, done, ending, enqueue


def _walk(store, query: JobQuery) -> list[str]:
    """The ids of all pages from the first on."""
    found: list[str] = []
    while True:
        page = done(store.page(query))
        found += [job.id for job in page.jobs]
        if page.next_cursor is None:
            return found
        assert len(page.jobs) == query.limit
        assert len(found) < 100, "the pages never end"
        query = replace(query, cursor=page.next_cursor)


@pytest.fixture
def filled(store):
    """j0..j6 by ada and bob in turn; j0 has succeeded, j1 runs, j2 is canceled."""
    for n in range(7):
        enqueue(store, f"j{n}", principal=("ada", "bob")[n % 2])
    assert done(store.finish(claim(store).job.id, 1, ending())).id == "j0"
    assert claim(store).job.id == "j1"
    done(store.cancel("j2"))
    return store


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
def test_pages_walk_all_jobs_newest_first(filled, limit):
    assert _walk(filled, JobQuery(limit=limit)) == [f"j{n}" for n in reversed(range(7))]


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_pages_filter(filled, limit):
    ended = (JobStatus.SUCCEEDED, JobStatus.CANCELED, JobStatus.SUCCEEDED)
    assert _walk(filled, JobQuery(statuses=ended, limit=limit)) == ["j2", "j0"]
    assert _walk(filled, JobQuery(principal="bob", limit=limit)) == ["j5", "j3", "j1"]
    assert _walk(filled, JobQuery((JobStatus.QUEUED, JobStatus.RUNNING), "bob", limit=limit)) == ["j5", "j3", "j1"]
    assert _walk(filled, JobQuery(principal="nobody", limit=limit)) == []


def test_a_page_holds_whole_jobs(filled):
    page = done(filled.page(JobQuery()))
    assert list(page.jobs) == [done(filled.get(job.id)) for job in page.jobs]


def test_a_page_is_not_moved_by_newer_jobs(filled):
    first = done(filled.page(JobQuery(limit=2)))
    enqueue(filled, "new")
    assert [job.id for job in done(filled.page(JobQuery(limit=2, cursor=first.next_cursor))).jobs] == ["j4", "j3"]


FOREIGN = [
    b"",
    b"5",
    b"jobs:",
    b"jobs:-1",
    b"jobs:1.5",
    b"jobs:99999999999999999999",
    b"jobs:9223372036854775808",
    b"x:1",
]


@pytest.mark.parametrize("cursor", ["", "%", "é", "anything", *(base64.b64encode(text).decode() for text in FOREIGN)])
def test_a_foreign_cursor_is_refused(filled, cursor):
    with pytest.raises(InputInvalid):
        done(filled.page(JobQuery(cursor=cursor)))


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_range_is_refused(filled, limit):
    with pytest.raises(InputInvalid):
        done(filled.page(JobQuery(limit=limit)))


def test_the_summary_counts_unfinished_jobs(store, storage):
    assert done(store.summary()) == QueueSummary((), None)
    enqueue(store, "a", 3, "ada")
    began_s = storage.clock.now_s
    storage.clock.now_s += 7
    for name, priority, principal in (("b", 3, "ada"), ("c", 9, "ada"), ("d", 3, "bob"), ("e", 3, "bob")):
        enqueue(store, name, priority, principal)
    assert claim(store).job.id == "c"
    done(store.cancel("e"))
    summary = done(store.summary())
    assert summary.rows == (
        DepthRow("ada", 3, JobStatus.QUEUED, 2, 10.0),
        DepthRow("ada", 9, JobStatus.RUNNING, 1, 5.0),
        DepthRow("bob", 3, JobStatus.QUEUED, 1, 5.0),
    )
    assert summary.oldest_queued_at_s == began_s
