"""`kill -9` at any moment: nothing that a SQLite queue promised is lost, nothing happens twice, all is accounted for.

What SIGKILL cannot show is a loss of power: for that the store syncs every commit (`store/sqlite/connection.sql`).
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from expeditor.jobs.model import Cause, Job, JobStatus
from expeditor.store.base import MAX_DEATHS
from expeditor.store.records import JobQuery
from tests.chaos.dying import die_at_work, die_early
from tests.conformance.harness import SqliteStorage, claim_all, done

CHILD = Path(__file__).with_name("queue_child.py")
KILLS = 25
EARLY_S = 0.4  # every fifth process is killed within this time: while it starts, opens the file or recovers
LINES = 250  # the others are killed after at most so many promises, however long these take
Promises = dict[str, list[tuple[str, ...]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("queue")


@pytest.fixture(scope="module")
def promises(folder: Path) -> Promises:
    """Everything that the killed processes said, by the first word."""
    said: Promises = defaultdict(list)
    rng = random.Random(20)
    for boot in range(KILLS):
        command = [sys.executable, str(CHILD), str(folder), f"b{boot}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            lines = die_early(child, rng, EARLY_S) if boot % 5 == 4 else die_at_work(child, rng, LINES)
        for line in lines:
            kind, *words = line.split()
            said[kind].append(tuple(words))
    return said


@pytest.fixture(scope="module")
def jobs(folder: Path, promises: Promises) -> dict[str, Job]:
    """All jobs after the last death, recovered by one more process and before it works."""
    storage = SqliteStorage(folder)
    store = storage.start()
    done(store.recover())
    found: dict[str, Job] = {}
    cursor = None
    while not found or cursor is not None:
        page = done(store.page(JobQuery(cursor=cursor, limit=1000)))
        found.update({job.id: job for job in page.jobs})
        cursor = page.next_cursor
    storage.stop()
    return found


def test_the_processes_got_to_work_and_died_at_work(promises, jobs):
    assert len(promises["queued"]) > 10 * KILLS
    assert len(promises["succeeded"]) > KILLS
    assert any(attempt.cause is Cause.PROCESS_DIED for job in jobs.values() for attempt in job.attempts)


def test_no_accepted_job_is_lost(promises, jobs):
    assert not [job_id for (job_id,) in promises["queued"] if job_id not in jobs]
    assert not [job_id for _, job_id in promises["told"] if job_id not in jobs]


def test_no_attempt_is_handed_out_twice(promises, jobs):
    assert not [claimed for claimed, times in Counter(promises["claimed"]).items() if times > 1]
    for job_id, attempt in promises["claimed"]:
        assert len(jobs[job_id].attempts) >= int(attempt)
    for job in jobs.values():
        assert [attempt.number for attempt in job.attempts] == list(range(1, len(job.attempts) + 1))


def test_what_was_reported_finished_is_finished_by_that_attempt(promises, jobs):
    assert not [job_id for (job_id, _), times in Counter(promises["succeeded"]).items() if times > 1]
    for job_id, attempt in promises["succeeded"]:
        job = jobs[job_id]
        assert (job.status, job.attempt, len(job.outputs)) == (JobStatus.SUCCEEDED, int(attempt), 1)
    for job_id, *_ in promises["canceled"]:
        assert jobs[job_id].status in {JobStatus.CANCELED, JobStatus.SUCCEEDED}


def test_every_attempt_is_accounted_for(jobs):
    for job in jobs.values():
        *before, last = job.attempts or [None]
        assert all(attempt.cause is Cause.PROCESS_DIED for attempt in before if attempt is not None)
        deaths = sum(attempt.cause is Cause.PROCESS_DIED for attempt in job.attempts)
        if job.status is JobStatus.FAILED:
            assert (job.cause, deaths) == (Cause.POISON, MAX_DEATHS)
        elif job.status is JobStatus.QUEUED:
            assert last is None or last.cause is Cause.PROCESS_DIED
        else:
            assert job.status in {JobStatus.SUCCEEDED, JobStatus.CANCELED}
        assert all(attempt.outcome is not None for attempt in job.attempts)


def test_an_end_is_told_once_at_most_and_is_true(promises, jobs):
    ends = [
        (kind, job_id) for kind, job_id in promises["told"] if kind in {"job.succeeded", "job.canceled", "job.failed"}
    ]
    assert len({job_id for _, job_id in ends}) == len(ends)
    assert all(kind == f"job.{jobs[job_id].status.value}" for kind, job_id in ends)


def test_the_next_process_serves_all_that_waits(folder, jobs):
    storage = SqliteStorage(folder)
    waiting = {job_id for job_id, job in jobs.items() if job.status is JobStatus.QUEUED}
    assert set(claim_all(storage.start())) == waiting
    storage.stop()
