"""A damaged SQLite queue: set aside as it was, with its journal, and the queue begins anew; what cannot be used is left alone."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.model import Payload
from expeditor.store.records import JobQuery
from expeditor.store.sqlite import SqliteStore
from expeditor.store.sqlite.database import SCHEMA_VERSION
from expeditor.store.sqlite.soundness import inspect, reunite, set_aside
from expeditor.store.sqlite.statements import load_statements
from tests.conformance.harness import SqliteStorage, claim, done, enqueue, new_job

NOBODY = 65534
BIG = "x" * 20_000


def written(folder: Path) -> Path:
    """A database as `kill -9` leaves it: 40 jobs, the last of them in the journal alone."""
    (folder / "made").mkdir(parents=True)
    storage = SqliteStorage(folder / "made")
    store = storage.start()
    for n in range(20):
        done(store.enqueue(new_job(f"a{n}", payload=Payload(BIG, "{}", "[]"))))
    claim(store)
    with closing(sqlite3.connect(storage.path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for n in range(20):
        enqueue(store, f"b{n}")
    for file in storage.path.parent.glob("queue.db*"):
        shutil.copy(file, folder)
    storage.stop()
    return folder / "queue.db"


def _overwrite(path: Path, start: float, end: float) -> None:
    content = bytearray(path.read_bytes())
    first, last = int(len(content) * start), int(len(content) * end)
    content[first:last] = b"\xa5" * (last - first)
    path.write_bytes(content)


def _execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 99])


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no database": lambda path: path.write_bytes(b"a letter to my aunt, " * 100),
    "a bad header": lambda path: _overwrite(path, 0, 0.0002),
    "overwritten pages": lambda path: _overwrite(path, 0.02, 0.7),
    "cut off": _torn,
    "emptied": lambda path: path.write_bytes(b""),
    "a status that there is not": lambda path: _execute(path, "UPDATE jobs SET status = 'lost' WHERE id = 'a3'"),
    "no JSON": lambda path: _execute(path, "UPDATE jobs SET metadata = '{' WHERE id = 'a3'"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_database_is_set_aside_as_it_was_and_the_queue_begins_anew(damage: str, tmp_path: Path, caplog):
    path = written(tmp_path)
    DAMAGE[damage](path)
    before = {
        file.name: file.read_bytes() for file in tmp_path.glob("queue.db*") if not file.name.endswith(("-shm", ".lock"))
    }
    storage = SqliteStorage(tmp_path)
    store = storage.start()
    enqueue(store, "new")
    assert [job.id for job in done(store.page(JobQuery())).jobs] == ["new"]
    aside = "queue.db.corrupt-20231114T221320Z"
    assert aside in (store.state().notice or "")
    assert caplog.text.count("was set aside as") == 1
    if damage not in {"a status that there is not", "no JSON"}:  # those files are sound and were opened to read them
        assert {name: (tmp_path / name.replace("queue.db", aside)).read_bytes() for name in before} == before
    assert (tmp_path / aside).exists()
    store = storage.start()
    assert store.state().notice is None
    assert [job.id for job in done(store.page(JobQuery())).jobs] == ["new"]
    storage.stop()


def test_damage_among_the_payloads_is_found_if_there_is_time_to_look(tmp_path: Path):
    path = written(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'payloads'").fetchone()
    size = path.stat().st_size
    page = 4096 / size
    _overwrite(path, (root - 1) * page, root * page)
    hasty = SqliteStore(path=path, check_s=0.0, **SqliteStorage(tmp_path).parts("boot"))
    hasty.open()
    assert hasty.state().notice is None
    with pytest.raises(StoreUnavailable, match="malformed"):
        done(hasty.payload("a3"))
    hasty.close()
    hasty.open()  # having met damage it looks at everything
    assert "malformed" in (hasty.state().notice or "")
    hasty.close()


def test_nothing_set_aside_is_ever_overwritten(tmp_path: Path):
    for n in range(3):
        (tmp_path / "queue.db").write_bytes(b"%d" % n * 5000)
        storage = SqliteStorage(tmp_path)
        storage.start()
        storage.stop()
    kept = sorted(file for file in tmp_path.glob("queue.db.corrupt-*"))
    assert [file.read_bytes()[:1] for file in kept] == [b"0", b"1", b"2"]


def test_a_journal_left_behind_by_a_crash_while_setting_aside_follows_its_database(tmp_path: Path):
    path = written(tmp_path)
    journal = (tmp_path / "queue.db-wal").read_bytes()
    path.rename(tmp_path / "queue.db.corrupt-20231114T221000Z")
    storage = SqliteStorage(tmp_path)
    assert "its journal was there" in (storage.start().state().notice or "")
    storage.stop()
    assert (tmp_path / "queue.db.corrupt-20231114T221000Z-wal").read_bytes() == journal


def test_what_was_set_aside_together_can_be_read_again(tmp_path: Path):
    path = written(tmp_path)
    aside = set_aside(path, 0.0)
    assert reunite(path, 0.0) is None
    with closing(sqlite3.connect(aside)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM jobs").fetchone() == (40,)


def test_a_newer_or_foreign_database_that_cannot_be_read_is_left_alone(tmp_path: Path):
    path = written(tmp_path)
    for statement, words in [
        (
            f"PRAGMA user_version = {SCHEMA_VERSION + 1}",
            f"schema {SCHEMA_VERSION + 1}; this one knows {SCHEMA_VERSION}",
        ),
        ("PRAGMA application_id = 7", "another program"),
    ]:
        _execute(path, statement)
        sound = path.read_bytes()
        _overwrite(path, 0.02, 0.7)
        before = path.read_bytes()
        with pytest.raises(StoreUnavailable, match=words):
            SqliteStorage(tmp_path).start()
        assert path.read_bytes() == before
        path.write_bytes(sound)


def test_a_file_that_another_program_holds_can_be_opened_once_it_lets_go(tmp_path: Path):
    storage = SqliteStorage(tmp_path)
    enqueue(storage.start(), "a")
    storage.stop()
    store = SqliteStore(path=storage.path, busy_timeout_s=0.01, **storage.parts("boot"))
    with closing(sqlite3.connect(storage.path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match="another program has it locked"):
            store.open()
    store.open()
    assert done(store.get("a")) is not None
    store.close()


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Root may write everywhere: be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may reach."""
    folder = Path(tempfile.mkdtemp(prefix="expeditor-test-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("lacking", ["folder", "file", "lock", "setting aside", "reading"])
def test_what_may_not_be_written_is_refused_and_left_alone(lacking: str, open_folder: Path):
    storage = SqliteStorage(open_folder)
    enqueue(storage.start(), "a")
    storage.stop()
    lock = open_folder / "queue.db.lock"
    if lacking == "setting aside":
        _overwrite(storage.path, 0, 1)
    storage.path.chmod({"file": 0o444, "reading": 0o000}.get(lacking, 0o666))
    lock.chmod(0o444 if lacking == "lock" else 0o666)
    open_folder.chmod(0o777 if lacking in {"file", "lock", "reading"} else 0o555)
    if lacking == "folder":
        lock.unlink()
    words = {
        "setting aside": "damaged .*cannot be set aside",
        "lock": "lock file .*denied",
        "folder": "lock file .*denied",
    }
    before = {file.name: file.stat().st_size for file in open_folder.iterdir()}
    with _as_nobody(), pytest.raises(StoreUnavailable, match=words.get(lacking, "file .* cannot be written")):
        storage.start()
    sizes = {
        file.name: file.stat().st_size for file in open_folder.iterdir() if not file.name.endswith(("-shm", "-wal"))
    }
    assert {**before, "queue.db.lock": 0} == {**sizes, "queue.db.lock": 0}
    assert sizes["queue.db"] == storage.path.stat().st_size


@pytest.mark.skipif(os.name == "nt", reason="a limit of the file's size needs resource.setrlimit")
def test_a_disk_that_is_full_at_the_opening_is_refused(tmp_path: Path):
    resource = pytest.importorskip("resource")
    storage = SqliteStorage(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        with pytest.raises(StoreUnavailable, match=r"cannot be opened: .*(full|I/O)"):
            storage.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    enqueue(storage.start(), "a")
    storage.stop()


def test_looking_changes_no_byte(tmp_path: Path):
    path = written(tmp_path)
    before = {end: path.with_name(path.name + end).read_bytes() for end in ("", "-wal")}
    assert inspect(path, load_statements(), SCHEMA_VERSION, 1.0, None) is True
    assert {end: path.with_name(path.name + end).read_bytes() for end in ("", "-wal")} == before
