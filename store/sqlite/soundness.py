"""Whether a database file is ours, not too new and undamaged, found out without writing to it; and setting a damaged one aside.

Owns the inspection before the first write, which tells damage from mere trouble (a lock, a permission, a full disk), and
where a damaged file goes. Does not own connections that stay, nor the schema (``database``). Nothing is ever deleted.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from ...jobs.errors import StoreUnavailable

APPLICATION_ID = 0x45787064
COMPANIONS = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database: committed work may stand there alone."""

_MAGIC = b"SQLite format 3\x00"
_DAMAGE_CODES = frozenset({11, 26})  # SQLITE_CORRUPT, SQLITE_NOTADB
_FIRST, _LAST = frozenset({"jobs", "attempts"}), frozenset({"payloads"})


class Damaged(Exception):
    """The file is not what SQLite or this store wrote; says how it shows."""


def is_damage(fault: sqlite3.Error) -> bool:
    """Whether an error means a damaged file, rather than one that cannot be used now."""
    code = getattr(fault, "sqlite_errorcode", None)  # since Python 3.11
    return code & 0xFF in _DAMAGE_CODES if code is not None else type(fault) is sqlite3.DatabaseError


@contextmanager
def damage_told() -> Generator[None]:
    """Around the use of a file: SQLite's errors that mean damage raise ``Damaged``."""
    try:
        yield
    except sqlite3.DatabaseError as fault:
        if is_damage(fault):
            raise Damaged(str(fault)) from fault
        raise


@contextmanager
def garbage_told() -> Generator[None]:
    """Around reading rows, and nothing else: as ``damage_told``, and rows that say what this store never writes."""
    try:
        with damage_told():
            yield
    except (ValueError, TypeError) as fault:
        raise Damaged(f"a row cannot be read ({fault})") from fault


class SameFile:
    """Watches that the files of an open database are still those in its folder.

    What is deleted, moved or replaced can be written to without any error, and is gone with the process.
    """

    def __init__(self, path: Path) -> None:
        """The database is open and has been written to."""
        self._path = path
        self._known = {each: _identity(each) for each in (path, _beside(path, "-wal"))}

    def check(self) -> None:
        """Raises ``sqlite3.OperationalError``; quick enough for every commit."""
        for each, known in self._known.items():
            if _identity(each) != known:
                raise sqlite3.OperationalError(
                    f"{each.name} is gone from {self._path.parent} or is another file; put back what was there, or restart"
                )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def refuse_strange(path: Path, found: Mapping[str, int], newest_version: int) -> None:
    """``StoreUnavailable`` for another program's database and for one of a newer version; such a file is left alone."""
    if found["things"] and found["application_id"] != APPLICATION_ID:
        raise StoreUnavailable(f"{path} is a database of another program. It is left as it is.")
    if found["user_version"] > newest_version:
        raise StoreUnavailable(
            f"{path} was written by a newer version of Expeditor (schema {found['user_version']}; this one knows "
            f"{newest_version}). Use that version, or another data directory."
        )


def inspect(
    path: Path, statements: Mapping[str, str], newest_version: int, busy_timeout_s: float, check_s: float | None
) -> bool:
    """Look at the file before it is used. Whether all of it was looked at within ``check_s`` seconds (None: however long).

    ``Damaged``, or ``StoreUnavailable`` as ``refuse_strange`` and for a locked file. The connection is read-only: one that
    writes would copy the journal into the damaged file when it closes. A file that cannot be opened so is passed over.
    """
    if not path.is_file():
        return True
    if path.stat().st_size == 0:
        if any(each.exists() and each.stat().st_size for each in (_beside(path, end) for end in COMPANIONS)):
            raise Damaged("the file is empty, though its journal is not")
        return True
    _refuse_no_database(path)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", busy_timeout_s, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            refuse_strange(path, connection.execute(statements["identity"]).fetchone(), newest_version)
            return _checked(connection, statements, check_s)
    except sqlite3.OperationalError as fault:
        if "locked" in str(fault):
            raise StoreUnavailable(f"{path} cannot be opened: another program has it locked ({fault}).") from fault
        return False
    except sqlite3.DatabaseError as fault:
        refuse_strange(path, _identity_of_header(path), newest_version)
        raise Damaged(str(fault)) from fault


def set_aside(path: Path, at_s: float) -> Path:
    """Rename the database and what SQLite keeps beside it to names of their own, and return that of the database.

    ``OSError`` when that is not possible. The database goes first: should the process die in between, ``reunite`` finds
    companions without a database, and never a database without its journal.
    """
    aside = _free_name(path, at_s)
    path.rename(aside)
    _move_companions(path, aside)
    return aside


def reunite(path: Path, at_s: float) -> Path | None:
    """Before a new database is made: companions left without one go where it went, lest SQLite deletes them.

    The name of the database that they stand beside now; None when there are none.
    """
    orphans = [each for each in (_beside(path, end) for end in COMPANIONS) if each.exists()]
    if path.exists() or not orphans:
        return None
    earlier = sorted(each for each in path.parent.glob(f"{path.name}.corrupt-*") if not each.name.endswith(COMPANIONS))
    free = [each for each in earlier if not any(_beside(each, end).exists() for end in COMPANIONS)]
    aside = free[-1] if free else _free_name(path, at_s)
    _move_companions(path, aside)
    return aside


def _checked(connection: sqlite3.Connection, statements: Mapping[str, str], check_s: float | None) -> bool:
    names: list[str] = [row["name"] for row in connection.execute(statements["tables"])]
    names.sort(key=lambda name: (name in _LAST, name not in _FIRST, name))
    end_s = None if check_s is None else time.monotonic() + check_s
    with _interrupting(connection, check_s):
        try:
            for name in names:
                if end_s is not None and time.monotonic() > end_s:
                    return False
                verdict = connection.execute(statements["check_table"], {"name": name}).fetchone()[0]
                if verdict != "ok":
                    raise Damaged(f"table {name}: {verdict}")
        except sqlite3.OperationalError as fault:
            if "interrupted" not in str(fault):
                raise
            return False
    return True


@contextmanager
def _interrupting(connection: sqlite3.Connection, after_s: float | None) -> Generator[None]:
    if after_s is None:
        yield
        return
    timer = threading.Timer(after_s, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _refuse_no_database(path: Path) -> None:
    with path.open("rb") as file:
        if not file.read(len(_MAGIC)) == _MAGIC:
            raise Damaged("file is not a database")


def _identity_of_header(path: Path) -> dict[str, int]:
    """As the statement ``identity``, from the file's first bytes: they can be read when the tables cannot."""
    with path.open("rb") as file:
        header = file.read(100)
    application_id = int.from_bytes(header[68:72], "big")
    return {
        "application_id": application_id,
        "user_version": int.from_bytes(header[60:64], "big") if application_id == APPLICATION_ID else 0,
        "things": int(application_id != 0),
    }


def _free_name(path: Path, at_s: float) -> Path:
    stem = f"{path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(at_s))}"
    tries = 0
    while True:
        name = path.with_name(f"{stem}.{tries}" if tries else stem)
        if not any(each.exists() for each in (name, *(_beside(name, end) for end in COMPANIONS))):
            return name
        tries += 1


def _move_companions(path: Path, to: Path) -> None:
    for end in COMPANIONS:
        if _beside(path, end).exists():
            _beside(path, end).rename(_beside(to, end))


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)
