"""`kill -9` while a start after an update brings the database to the new version: again and again, on one file, at any moment of
the migration. Each death leaves the last version that was reached whole, and the next start goes on from there; the one that gets
through finds all that stood there, once."""

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
# Migrates as a start does, and kills itself at the given tick of SQLite's own work (0: never). Says after how many ticks it
# reached each version.
# The small cache has changed pages reach the file before the commit.
MIGRATOR = """
import os, signal, sqlite3, sys
sys.path.insert(0, sys.argv[1])
import child_imports
from expeditor.store.sqlite.functions import add_functions
from expeditor.store.sqlite.migrations import SCRIPTS
from expeditor.store.sqlite.statements import load_script
path, last = sys.argv[2], int(sys.argv[3])
connection = sqlite3.connect(path, isolation_level=None)
connection.executescript("PRAGMA cache_size = 1; PRAGMA cache_spill = ON;")
ticks = 0
def tick():
    global ticks
    ticks += 1
    if ticks == last:
        os.kill(os.getpid(), signal.SIGKILL)
before = connection.execute("PRAGMA user_version").fetchone()[0]
add_functions(connection)
connection.set_progress_handler(tick, 100)
for script in SCRIPTS[before:]:
    connection.executescript(load_script(f"migrations/{script}"))
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
    reached, rng = [0, *map(int, whole.stdout.split())], random.Random(12)
    assert len(reached) == SCHEMA_VERSION
    assert reached[-1] > 10 * KILLS

    path, died_at = filled(tmp_path / "killed"), [1]
    for kill in range(KILLS):
        # Every step has its share of the kills, however short it is; the tick is counted from where this start begins.
        begun = reached[died_at[-1] - 1]
        step = max(died_at[-1], 1 + kill * (SCHEMA_VERSION - 1) // KILLS)
        span = reached[step] - reached[step - 1]
        killed = migrating(path, reached[step - 1] - begun + rng.randint(1, max(1, span * 9 // 10)))
        assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
        died_at.append(version(path))
        assert died_at[-2] <= died_at[-1] < SCHEMA_VERSION
    assert set(died_at) == set(range(1, SCHEMA_VERSION)), "every step was met"

    storage = SqliteStorage(path.parent)
    store = storage.start()
    assert version(path) == SCHEMA_VERSION
    waiting = [job.id for job, _ in done(store.recover()).waiting]
    assert [job_id for job_id in waiting if job_id.startswith("job-")] == [f"job-{n}" for n in range(JOBS)]
    known = done(store.page(JobQuery(limit=1000, statuses=()))).jobs
    assert len({job.id for job in known}) == len(known)
    storage.stop()
