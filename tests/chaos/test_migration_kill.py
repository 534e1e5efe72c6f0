"""`kill -9` while a start after an update brings the database to the new version: again and again, on one file, at any moment of
the migration. Each death leaves the version before whole; the start that gets through finds all that stood there, once."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from expeditor.store.records import JobQuery
from expeditor.store.sqlite.migrations import SCHEMA_VERSION
from tests.conformance.harness import SqliteStorage, done
from tests.unit.store.test_sqlite_migrations import make_version_1

SUPPORT = Path(__file__).parents[1] / "support"
JOBS = 5_000
KILLS = 12
# Migrates as a start does, and kills itself at the given tick of SQLite's own work (0: never). Says how many ticks there were.
# The small cache has changed pages reach the file before the commit.
MIGRATOR = """
import os, signal, sqlite3, sys
sys.path.insert(0, sys.argv[1])
import child_imports
from expeditor.store.sqlite.migrations import migrate
path, last = sys.argv[2], int(sys.argv[3])
connection = sqlite3.connect(path, isolation_level=None)
connection.executescript("PRAGMA cache_size = 1; PRAGMA cache_spill = ON;")
ticks = 0
def tick():
    global ticks
    ticks += 1
    if ticks == last:
        os.kill(os.getpid(), signal.SIGKILL)
connection.set_progress_handler(tick, 100)
migrate(connection, 1)
print(ticks, flush=True)
"""


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def filled(folder: Path) -> Path:
    """A database of version 1 in which many jobs wait."""
    folder.mkdir()
    path = SqliteStorage(folder).path
    make_version_1(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        pattern = connection.execute("SELECT * FROM jobs WHERE id = 'waits'").fetchone()
        rows = [(100 + n, f"job-{n}", *pattern[2:]) for n in range(JOBS)]
        connection.executemany(f"INSERT INTO jobs VALUES ({', '.join('?' * len(pattern))})", rows)
        connection.execute("""INSERT INTO payloads SELECT seq, '{}', '{}', '["1"]' FROM jobs WHERE seq >= 100""")
    return path


def migrating(path: Path, last_tick: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", MIGRATOR, str(SUPPORT), str(path), str(last_tick)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_killed_while_it_migrates_again_and_again(tmp_path: Path):
    whole = migrating(filled(tmp_path / "measured"), 0)
    assert whole.returncode == 0, whole.stderr
    ticks, rng = int(whole.stdout), random.Random(12)
    assert ticks > 10 * KILLS

    path = filled(tmp_path / "killed")
    for _ in range(KILLS):
        killed = migrating(path, rng.randint(1, ticks * 9 // 10))
        assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
        assert version(path) == 1

    storage = SqliteStorage(path.parent)
    store = storage.start()
    assert version(path) == SCHEMA_VERSION
    waiting = [job.id for job, _ in done(store.recover()).waiting]
    assert [job_id for job_id in waiting if job_id.startswith("job-")] == [f"job-{n}" for n in range(JOBS)]
    known = done(store.page(JobQuery(limit=1000, statuses=()))).jobs
    assert len({job.id for job in known}) == len(known)
    storage.stop()
