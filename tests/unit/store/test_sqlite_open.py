"""Opening a SQLite queue: what is made, what is refused in one clear sentence, and that a refused file stays as it was."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.ordering import OrderPolicy
from expeditor.store.records import JobQuery
from expeditor.store.sqlite.database import SCHEMA_VERSION
from tests.conformance.harness import SqliteStorage, done, enqueue


@pytest.fixture
def storage(tmp_path):
    made = SqliteStorage(tmp_path)
    yield made
    made.stop()


def _execute(path: Path, *statements: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [row for statement in statements for row in connection.execute(statement)]


def _refused(storage: SqliteStorage, match: str) -> None:
    """Opening is refused with these words and the file's name, and changes nothing."""
    before = storage.path.read_bytes()
    with pytest.raises(StoreUnavailable, match=match) as refusal:
        storage.start()
    assert str(storage.path) in str(refusal.value)
    assert storage.path.read_bytes() == before


def test_the_folder_and_the_file_are_made(tmp_path):
    storage = SqliteStorage(tmp_path / "not" / "there")
    enqueue(storage.start(), "a")
    storage.stop()
    assert _execute(storage.path, "PRAGMA user_version", "PRAGMA journal_mode") == [(SCHEMA_VERSION,), ("wal",)]


def test_a_database_of_a_newer_version_is_refused(storage):
    storage.start()
    storage.stop()
    _execute(storage.path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    _refused(storage, f"newer version of Expeditor .schema {SCHEMA_VERSION + 1}")


def test_another_programs_database_is_refused(storage):
    _execute(storage.path, "CREATE TABLE theirs (x)")
    _refused(storage, "another program")


def test_a_refused_open_can_be_tried_again(storage):
    storage.path.mkdir()
    store = storage.make("boot")
    with pytest.raises(StoreUnavailable, match="it is a folder"):
        store.open()
    storage.path.rmdir()
    store.open()
    enqueue(store, "a")
    store.close()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        SqliteStorage(tmp_path / "file").start()


def test_a_second_store_on_the_file_hears_who_has_it(storage, tmp_path):
    enqueue(storage.start(), "a")
    second = SqliteStorage(tmp_path)
    with pytest.raises(StoreUnavailable, match=f"process {os.getpid()}"):
        second.start()
    storage.stop()
    assert len(done(second.start().page(JobQuery())).jobs) == 1
    second.stop()


def test_scores_follow_the_policy_of_the_latest_start(storage):
    def line() -> list[str]:
        return [job.id for job, _ in done(storage.start().recover()).waiting]

    store = storage.start()
    for n in range(3):
        enqueue(store, f"a{n}")
    enqueue(store, "b", principal="bob")
    assert line() == ["a0", "b", "a1", "a2"]
    storage.policy = OrderPolicy(strict=True)
    assert line() == ["a0", "a1", "a2", "b"]
    storage.policy = OrderPolicy()
    assert line() == ["a0", "b", "a1", "a2"]


def test_importing_the_room_reads_no_file_and_starts_no_thread():
    code = (
        "import sys, threading; sys.path.insert(0, sys.argv[1]); import child_imports, expeditor.store.sqlite;"
        "assert threading.active_count() == 1; assert 'asyncio' not in sys.modules and 'aiohttp' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(Path(__file__).parents[2] / "support")], check=True, timeout=60)
