"""The program of docs/operations.md that salvages a damaged database: jobs outside the damage come back, in their order."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from expeditor.jobs.model import BatchSlot, JobStatus, NewBatch, RequestKey
from expeditor.store.records import JobQuery
from tests.conformance.harness import IMAGE, SqliteStorage, claim, done, ending, enqueue, new_job

PAGE = Path(__file__).resolve().parents[3] / "docs" / "operations.md"
JOBS = 400
FINISHED = 10
IN_BATCH = 3
LEARNED_ANEW = {"estimates", "finish_tags"}

PAGE_BYTES = 4096
TABLE_LEAF = 0x0D  # the first byte of such a page


def salvage(damaged: Path, target: Path) -> str:
    """What the documented program prints."""
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    command = [sys.executable, "-c", program, str(damaged), str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def rows(path: Path, sql: str) -> list[tuple[int]]:
    """What a database answers."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A database with waiting and finished jobs and a batch, without a journal."""
    storage = SqliteStorage(tmp_path_factory.mktemp("original"))
    store = storage.start()
    for queued in [
        store.enqueue(new_job(f"job-{n:03}", request_key=RequestKey(f"key-{n}", "same"))) for n in range(JOBS)
    ]:
        done(queued)
    for _ in range(FINISHED):
        taken = claim(store)
        done(store.finish(taken.job.id, taken.attempt, ending(JobStatus.SUCCEEDED, outputs=(IMAGE,))))
    batch = [new_job(f"job-b{n}", slot=BatchSlot("b1", n), metadata={"shoot": "may"}) for n in range(IN_BATCH)]
    done(store.enqueue_all(NewBatch("b1", "ada", 1_699_999_999.5, IN_BATCH, {}), batch))
    storage.stop()
    with closing(sqlite3.connect(storage.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return storage.path


@pytest.fixture
def old(original, tmp_path) -> Path:
    """A copy to spoil."""
    (tmp_path / "old").mkdir()
    return shutil.copy(original, tmp_path / "old" / original.name)


def damage(path: Path, every: int) -> None:
    """Zeros in every so many of the leaves that hold jobs and their prompts."""
    content = bytearray(path.read_bytes())
    pages = range(0, len(content), PAGE_BYTES)
    leaves = [at for at in pages if content[at] == TABLE_LEAF and b"job-" in content[at : at + PAGE_BYTES]]
    assert len(leaves) > every
    for at in leaves[1::every]:
        content[at : at + PAGE_BYTES] = bytes(PAGE_BYTES)
    path.write_bytes(content)


def test_a_sound_database_comes_through_whole(old, tmp_path):
    said = salvage(old, tmp_path / "expeditor.sqlite3")
    assert said == f"{JOBS + IN_BATCH} jobs saved; ok\n"
    tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    for (table,) in rows(old, tables):
        everything = f"SELECT * FROM {table} ORDER BY 1, 2"
        if table not in LEARNED_ANEW:
            assert rows(tmp_path / "expeditor.sqlite3", everything) == rows(old, everything), table
    assert rows(old, "SELECT COUNT(*) FROM request_keys") == [(JOBS,)]


def test_jobs_come_through_without_the_state_of_the_order(old, tmp_path):
    ((root,),) = rows(old, "SELECT rootpage FROM sqlite_schema WHERE name = 'ordering'")
    content = bytearray(old.read_bytes())
    content[(root - 1) * PAGE_BYTES : root * PAGE_BYTES] = bytes(PAGE_BYTES)
    old.write_bytes(content)
    (tmp_path / "new").mkdir()
    storage = SqliteStorage(tmp_path / "new")
    assert salvage(old, storage.path).startswith(f"{JOBS + IN_BATCH} jobs saved")
    store = storage.start()
    assert len(done(store.recover()).waiting) == JOBS + IN_BATCH - FINISHED
    storage.stop()


def test_jobs_outside_the_damage_come_back_in_their_order(old, tmp_path):
    damage(old, 6)
    (tmp_path / "new").mkdir()
    storage = SqliteStorage(tmp_path / "new")
    saved = int(salvage(old, storage.path).split()[0])
    assert JOBS // 2 < saved < JOBS
    store = storage.start()
    names = [job.id for job in done(store.page(JobQuery(limit=1000))).jobs]
    waiting = [job.id for job, _ in done(store.recover()).waiting]
    enqueue(store, "later")
    storage.stop()
    assert len(names) == saved
    assert names == sorted(names, reverse=True)
    assert waiting == sorted(waiting)
    assert len(waiting) > JOBS // 2 - FINISHED
