"""From one version of the database to the next: what stood there stands there still, also if the process dies on the way."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from expeditor.jobs.log import LogQuery
from expeditor.jobs.model import Attempt, Cause, JobStatus
from expeditor.store.records import JobQuery
from expeditor.store.sqlite.migrations import SCHEMA_VERSION, SCRIPTS
from expeditor.store.sqlite.statements import load_script
from tests.conformance.harness import SqliteStorage, claim, claim_all, done

SUPPORT = Path(__file__).parents[2] / "support"

# A database of version 1 with a job in each status that it could hold.
VERSION_1 = """
INSERT INTO jobs VALUES
(1, 'done', 'ada', 0, 3, 'submit', 'succeeded', 100.0, 101.0, 0.0, 0.0, -360.0, 5.0, 's', NULL, '{"x": 1}', 2, 99, 0, 0,
 1, 102.0, 110.0, '[]', NULL, NULL),
(2, 'broke', 'bob', 1, 4, 'prompt', 'failed', 100.0, 101.0, 1.0, 0.0, -480.0, 5.0, 's', 'tab', '{}', 2, 99, 0, 0, 0,
 102.0, 111.0, '[]', 'NODE_ERROR', '{"code": "NODE_ERROR", "message": "it broke", "node_id": "9", "class_type": null,
 "exception_type": null, "traceback": null}'),
(3, 'gone', 'ada', 0, 3, 'submit', 'canceled', 100.0, 101.0, 2.0, 5.0, -355.0, 5.0, '', NULL, '{}', 0, 0, 0, 0, 0, NULL,
 112.0, '[]', 'CANCELED', NULL),
(4, 'late', 'ada', 0, 3, 'submit', 'expired', 100.0, 101.0, 2.0, 5.0, -355.0, 5.0, '', NULL, '{}', 0, 0, 0, 0, 0, NULL,
 113.0, '[]', 'EXPIRED', NULL),
(5, 'waits', 'ada', 0, 3, 'submit', 'queued', 100.0, 101.0, 3.0, 5.0, -355.0, 5.0, '', NULL, '{}', 0, 0, 1, 0, 0, NULL,
 NULL, '[]', NULL, NULL),
(6, 'aside', 'ada', 0, 3, 'submit', 'queued', 100.0, 101.0, 3.0, 9.0, -351.0, 5.0, '', NULL, '{}', 0, 0, 0, 1, 0, NULL,
 NULL, '[]', NULL, NULL),
(7, 'runs', 'bob', 0, 5, 'submit', 'running', 100.0, 101.0, 4.0, 0.0, -600.0, 5.0, '', NULL, '{}', 0, 0, 0, 0, 0, 120.0,
 NULL, '[]', NULL, NULL),
(8, 'stops', 'bob', 0, 5, 'submit', 'canceling', 100.0, 101.0, 4.0, 0.0, -600.0, 5.0, '', NULL, '{}', 0, 0, 0, 0, 0,
 121.0, NULL, '[]', NULL, NULL),
(9, 'died', 'cem', 0, 9, 'submit', 'queued', 100.0, 101.0, 5.0, 0.0, -1080.0, 5.0, '', NULL, '{}', 0, 0, 0, 0, 0, 130.0,
 NULL, '[]', NULL, NULL);
INSERT INTO payloads SELECT seq, '{}', '{}', '["1"]' FROM jobs;
INSERT INTO attempts VALUES
(1, 1, 102.0, 'old', 110.0, 'succeeded', NULL, '9'), (2, 1, 102.0, 'old', 111.0, 'failed', 'NODE_ERROR', '9'),
(7, 1, 115.0, 'older', 116.0, 'failed', 'PROCESS_DIED', NULL), (7, 2, 120.0, 'old', NULL, NULL, NULL, NULL),
(8, 1, 121.0, 'old', NULL, NULL, NULL, NULL),
(9, 1, 130.0, 'older', 131.0, 'failed', 'PROCESS_DIED', NULL), (9, 2, 132.0, 'older', 133.0, 'failed', 'PROCESS_DIED', NULL);
UPDATE ordering SET virtual_time = 4.0, policy = 'strict=False;ageing_s=120.0';
INSERT INTO finish_tags VALUES ('ada', 3, 14.0);
INSERT INTO estimates VALUES ('', 6.0), ('s', 8.0);
"""


def make_version_1(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("PRAGMA journal_mode = WAL;")
        connection.executescript(load_script(f"migrations/{SCRIPTS[0]}"))
        connection.executescript(VERSION_1)


@pytest.fixture
def storage(tmp_path) -> Iterator[SqliteStorage]:
    made = SqliteStorage(tmp_path)
    make_version_1(made.path)
    yield made
    made.stop()


def _version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def _all_is_there(storage: SqliteStorage) -> None:
    """Every job of version 1 is there and goes on."""
    store = storage.start()
    jobs = {job.id: job for job in done(store.page(JobQuery())).jobs}
    statuses = {"done": "succeeded", "broke": "failed", "gone": "canceled", "late": "expired", "waits": "queued"}
    statuses |= {"aside": "queued", "died": "queued", "runs": "running", "stops": "canceling"}
    assert {name: job.status.value for name, job in jobs.items()} == statuses
    broke, waits = jobs["broke"], jobs["waits"]
    assert (broke.cause, broke.error and broke.error.message, broke.principal.trusted) == (
        "NODE_ERROR",
        "it broke",
        True,
    )
    assert broke.attempts == (Attempt(1, 102.0, "old", 111.0, JobStatus.FAILED, Cause.NODE_ERROR, "9"),)
    assert (waits.not_before_s, waits.expires_at_s, waits.max_attempts, waits.models) == (None, None, None, ())
    assert (waits.forgiven, jobs["aside"].held, jobs["done"].metadata) == (0, True, {"x": 1})
    assert (done(store.estimate("s")), done(store.estimate("t"))) == (8.0, 6.0)
    assert not done(store.summary()).paused
    assert [each.job.id for each in done(store.finished(9))] == ["done", "broke", "gone", "late"]
    found = done(store.recover())
    assert [job.id for job, _ in found.waiting] == ["waits", "aside", "runs", "died"]  # suspects are last
    assert done(store.get("runs")).deaths == 2
    assert claim(store).job.id == "waits"
    assert done(store.redrive("late")).start_tag == 14.0
    assert claim_all(store) == ["late", "runs", "died"]
    assert done(store.prune(["gone"])) == 1
    events = done(store.events(LogQuery())).events  # those of jobs from before begin with what happened since
    assert [(event.job_id, event.number, event.type) for event in events[:4]] == [
        ("runs", 1, "job.retrying"),
        ("runs", 2, "job.queued"),
        ("stops", 1, "job.canceled"),
        ("waits", 1, "job.started"),
    ]


def test_a_database_of_version_1_goes_on(storage):
    _all_is_there(storage)
    storage.stop()
    assert _version(storage.path) == SCHEMA_VERSION


def test_a_new_database_and_a_migrated_one_are_the_same(storage, tmp_path):
    def schema(path: Path) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(path)) as connection:
            return sorted(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))

    fresh = SqliteStorage(tmp_path / "fresh")
    for each in (storage, fresh):
        each.start()
        each.stop()
    assert schema(storage.path) == schema(fresh.path)


LABELLED = """
UPDATE jobs SET metadata = '{"set": "x", "n": 7, "of": {"set": "no"}, "none": null}' WHERE id = 'done';
UPDATE jobs SET metadata = '{"set": "x", "kind": "päivää"}' WHERE id = 'waits';
"""


def test_the_metadata_of_version_2_becomes_labels(tmp_path):
    storage = SqliteStorage(tmp_path)
    make_version_1(storage.path)
    with closing(sqlite3.connect(storage.path, isolation_level=None)) as connection:
        connection.executescript(load_script(f"migrations/{SCRIPTS[1]}") + LABELLED)
    assert _version(storage.path) == 2
    store = storage.start()

    def found(*labels: tuple[str, str]) -> list[str]:
        return [job.id for job in done(store.page(JobQuery(labels=labels))).jobs]

    assert found(("set", "x")) == ["waits", "done"]
    assert found(("set", "x"), ("kind", "päivää")) == ["waits"]
    assert found(("n", "7")) == found(("set", "no")) == found(("x", "1")) == []
    assert done(store.prune(["done"])) == 1
    assert found(("set", "x")) == ["waits"]
    storage.stop()


MIGRATOR = """
import os, signal, sqlite3, sys
sys.path.insert(0, sys.argv[1])
import child_imports
from expeditor.store.sqlite.functions import add_functions
from expeditor.store.sqlite.migrations import SCRIPTS
from expeditor.store.sqlite.statements import load_script
path, steps = sys.argv[2], int(sys.argv[3])
connection = sqlite3.connect(path, isolation_level=None)
add_functions(connection)
connection.executescript("PRAGMA cache_size = 1; PRAGMA cache_spill = ON;")  # so that pages reach the file before the commit
statement = ""
for line in "".join(load_script(f"migrations/{name}") for name in SCRIPTS[1:]).splitlines(keepends=True):
    statement += line
    if sqlite3.complete_statement(statement):
        if not steps:
            print("killed", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        connection.execute(statement)
        statement, steps = "", steps - 1
print("migrated", connection.in_transaction, flush=True)
"""


def _steps(name: str) -> int:
    count, statement = 0, ""
    for line in load_script(f"migrations/{name}").splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            count, statement = count + 1, ""
    return count


STEPS_OF = [_steps(name) for name in SCRIPTS[1:]]
STEPS = sum(STEPS_OF)
DONE_AT = [sum(STEPS_OF[: at + 1]) for at in range(len(STEPS_OF))]
"""After how many steps each version is whole."""


@pytest.mark.long
@pytest.mark.skipif(not hasattr(__import__("signal"), "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("steps", sorted({1, 3, *(at + by for at in DONE_AT for by in (-1, 0, 1) if at + by < STEPS)}))
def test_a_process_that_dies_while_it_migrates_leaves_the_version_before(storage, steps):
    command = [sys.executable, "-c", MIGRATOR, str(SUPPORT), str(storage.path), str(steps)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout == "killed\n", result.stdout + result.stderr
    assert _version(storage.path) == 1 + sum(steps >= done for done in DONE_AT)
    _all_is_there(storage)


def test_a_step_that_fails_leaves_the_version_before_and_can_be_tried_again(storage):
    with closing(sqlite3.connect(storage.path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE pruned (in_the_way)")
    broken = storage.path.with_name("broken.db")
    with pytest.raises(Exception, match="pruned"):
        storage.start()
    assert _version(storage.path) == 1
    shutil.copy(storage.path, broken)
    with closing(sqlite3.connect(storage.path, isolation_level=None)) as connection:
        connection.execute("DROP TABLE pruned")
    _all_is_there(storage)
