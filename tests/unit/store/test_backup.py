"""The backup command: a copy is whole and sound or it is not there, whoever writes or dies meanwhile."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from expeditor.jobs.model import Payload
from expeditor.runtime.storage import DATABASE_NAME
from expeditor.store.records import JobQuery
from expeditor.store.sqlite import backup
from expeditor.store.sqlite.backup import BackupFailed, back_up
from tests.conformance.harness import SqliteStorage, claim, done, ending, enqueue, new_job

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]
BIG = Payload("x" * 100_000, "{}", "[]")


@pytest.fixture
def storage(tmp_path: Path):
    made = SqliteStorage(tmp_path)
    yield made
    made.stop()


def _filled(storage: SqliteStorage, jobs: int) -> None:
    store = storage.start()
    for future in [store.enqueue(new_job(f"j{n}", payload=BIG)) for n in range(jobs)]:
        done(future)


def _opened_copy(copy: Path, folder: Path) -> SqliteStorage:
    folder.mkdir()
    copied = SqliteStorage(folder)
    copied.path.write_bytes(copy.read_bytes())
    return copied


def test_a_copy_made_under_load_has_every_job_committed_before_it_began(storage: SqliteStorage, tmp_path: Path):
    _filled(storage, 300)
    store, stop, told = storage.store, threading.Event(), []
    assert store is not None
    claimed = claim(store)
    done(store.finish(claimed.job.id, claimed.attempt, ending()))

    def write() -> None:
        number = 0
        while not stop.is_set():
            enqueue(store, f"during{number}")
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    began = [job.id for job in done(store.page(JobQuery(limit=1000))).jobs]
    made = back_up(storage.path, tmp_path / "copy.db", lambda copied, pages: told.append((copied, pages)))
    stop.set()
    writer.join()
    ended = {job.id for job in done(store.page(JobQuery(limit=1000))).jobs}
    copied = _opened_copy(tmp_path / "copy.db", tmp_path / "other")
    opened = copied.start()
    assert opened.state().notice is None
    found = {job.id for job in done(opened.page(JobQuery(limit=1000))).jobs}
    copied.stop()
    assert set(began) <= found <= ended
    assert made.jobs == len(found)
    assert made.unfinished == len(found) - 1
    assert len(told) > 3
    assert told[-1][0] == told[-1][1]
    assert sorted(file.name for file in tmp_path.glob("copy.db*")) == ["copy.db"]


def test_an_existing_file_is_not_overwritten(storage: SqliteStorage, tmp_path: Path):
    _filled(storage, 1)
    (tmp_path / "there").write_text("mine")
    with pytest.raises(BackupFailed, match="there already"):
        back_up(storage.path, tmp_path / "there")

    def somebody_is_quicker(copied: int, pages: int) -> None:
        if copied == pages:
            (tmp_path / "later").write_text("mine")

    with pytest.raises(BackupFailed, match="there already"):
        back_up(storage.path, tmp_path / "later", somebody_is_quicker)
    assert {(tmp_path / name).read_text() for name in ("there", "later")} == {"mine"}
    assert not list(tmp_path.glob("*.part-*"))


def test_what_is_no_sound_database_of_ours_gives_no_copy(storage: SqliteStorage, tmp_path: Path):
    with pytest.raises(BackupFailed, match="no database at"):
        back_up(tmp_path / "missing", tmp_path / "copy")
    with closing(sqlite3.connect(tmp_path / "foreign")) as other:
        other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(BackupFailed, match="not a database of Expeditor"):
        back_up(tmp_path / "foreign", tmp_path / "copy")
    _filled(storage, 20)
    storage.stop()
    content = bytearray(storage.path.read_bytes())
    with closing(sqlite3.connect(storage.path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs_by_status'").fetchone()
    content[(root - 1) * 4096 : root * 4096] = b"\xa5" * 4096
    storage.path.write_bytes(content)
    with pytest.raises(BackupFailed, match=r"malformed|damaged"):
        back_up(storage.path, tmp_path / "copy")
    with pytest.raises(BackupFailed, match="cannot be"):
        back_up(storage.path, tmp_path / "no folder" / "copy")
    assert not list(tmp_path.glob("copy*"))


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import child_imports
from expeditor.store.sqlite.backup import back_up

def stuck(copied, pages):
    sys.stdout.write(f"{copied} {pages}\\n")
    sys.stdout.flush()
    time.sleep(60)

back_up(Path(sys.argv[2]), Path(sys.argv[3]), stuck)
"""


def test_kill_9_in_the_middle_leaves_nothing_under_the_final_name(storage: SqliteStorage, tmp_path: Path):
    _filled(storage, 200)
    command = [sys.executable, "-c", KILLED, str(ROOT / "tests/support"), str(storage.path), str(tmp_path / "copy")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        copied, pages = (int(word) for word in child.stdout.readline().split())
        child.kill()
    assert 0 < copied < pages
    assert not (tmp_path / "copy").exists()
    assert back_up(storage.path, tmp_path / "copy").jobs == 200


def _command(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    # -S: without any installed package; the pack's folder is not the working directory.
    command = [sys.executable, "-S", str(ROOT / "backup.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env, cwd="/")


def test_the_command_needs_nothing_but_python_and_says_what_it_did(storage: SqliteStorage, tmp_path: Path):
    _filled(storage, 150)
    (tmp_path / "backups").mkdir()
    made = _command(str(tmp_path / "backups"), "--database", str(storage.path))
    assert made.returncode == backup.DONE, made.stderr
    (copy,) = (tmp_path / "backups").iterdir()
    assert made.stdout.startswith(f"{copy}: 150 jobs, 150 of them unfinished")
    assert "50 % of" in made.stderr
    again = _command(str(copy), "--database", str(storage.path))
    assert (again.returncode, again.stdout) == (backup.FAILED, "")
    assert "is there already" in again.stderr
    assert _command().returncode == backup.MISUSED
    missing = _command(str(tmp_path / "x"), env={"EXPEDITOR_DATA_DIR": str(tmp_path / "data")})
    assert str(tmp_path / "data" / DATABASE_NAME) in missing.stderr
