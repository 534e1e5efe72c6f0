"""`kill -9` around the commit of a batch: the next process finds all of its jobs, or none of them and nothing else of it."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from expeditor.jobs.model import JobStatus
from expeditor.store.base import JobStore
from expeditor.store.log import LogQuery
from expeditor.store.records import JobQuery
from tests.chaos.dying import die_at_work
from tests.conformance.harness import SqliteStorage, done

CHILD = Path(__file__).with_name("batch_child.py")
KILLS = 20
LINES = 20
WITHIN_S = 0.15  # so that it dies anywhere in a batch, not only where it says something


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("queue")


@pytest.fixture(scope="module")
def said(folder: Path) -> dict[str, list[list[str]]]:
    """What the killed processes said, by the first word."""
    words: dict[str, list[list[str]]] = defaultdict(list)
    rng = random.Random(7)
    for boot in range(KILLS):
        command = [sys.executable, str(CHILD), str(folder), f"b{boot}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            for line in die_at_work(child, rng, LINES, WITHIN_S):
                kind, *rest = line.split()
                words[kind].append(rest)
    return words


@pytest.fixture(scope="module")
def store(folder: Path, said: dict[str, list[list[str]]]) -> Iterator[JobStore]:
    """The next process's."""
    storage = SqliteStorage(folder)
    store = storage.start()
    done(store.recover())
    yield store
    storage.stop()


def jobs_of(store: JobStore, **query) -> list[int]:
    """The places of a batch's jobs that are there."""
    page = done(store.page(JobQuery(limit=1000, **query)))
    return sorted(job.slot.index for job in page.jobs if job.slot is not None and job.status is JobStatus.QUEUED)


def test_each_batch_is_there_whole_or_not_at_all(said, store):
    """By its row, its jobs, its labels and its request key."""
    accepted = {batch_id for (batch_id,) in said["in"]} | {batch_id for (batch_id,) in said["told"]}
    lost = 0
    for batch_id, count in said["asking"]:
        batch, every = done(store.batch(batch_id)), list(range(int(count)))
        assert batch is not None or batch_id not in accepted, f"{batch_id} was accepted"
        expected = [] if batch is None else every
        assert jobs_of(store, batch_id=batch_id) == expected
        assert jobs_of(store, labels=(("b", batch_id),)) == expected
        keyed = done(store.keyed("ada", batch_id))
        assert (None if keyed is None else keyed.job_id) == (None if batch is None else f"{batch_id}.0")
        if batch is not None:
            assert (batch.count, batch.statuses) == (len(every), {JobStatus.QUEUED: len(every)})
        lost += batch is None
    assert len(said["in"]) > KILLS
    assert lost <= KILLS, "each death costs the batch that was being asked for, at most"


def test_some_died_between_the_question_and_the_answer(said):
    unanswered = {batch_id for batch_id, _ in said["asking"]} - {batch_id for (batch_id,) in said["in"]}
    assert len(unanswered) > 3


def test_each_job_has_its_event_once(said, store):
    """The log knows exactly the jobs that are there."""
    after, logged = 0, Counter[str | None]()
    while True:
        page = done(store.events(LogQuery(after=after, limit=1000)))
        logged.update(event.batch_id for event in page.events)
        if not page.events:
            break
        after = page.events[-1].position
    there = {batch_id: int(count) for batch_id, count in said["asking"] if done(store.batch(batch_id)) is not None}
    assert dict(logged) == there
