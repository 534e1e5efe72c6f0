"""Opening the database file: settings, schema, and whether the file is ours, sound and not too new.

Owns connections until they are handed over. Never changes or deletes a file that it cannot use: it says what is wrong.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from ...jobs.errors import StoreUnavailable
from .statements import load_script

SCHEMA_VERSION = 1
_APPLICATION_ID = 0x45787064


def connect_writer(path: Path, statements: Mapping[str, str], busy_timeout_s: float) -> sqlite3.Connection:
    """The connection that writes; makes the schema in a new file. ``StoreUnavailable`` names the file and the reason."""
    connection = _connect(path, busy_timeout_s)
    try:
        _refuse_foreign(path, connection, statements)
        _set_up(path, connection, statements)
        _refuse_damaged(path, connection, statements)
        connection.executescript(load_script("changes"))
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path, statements: Mapping[str, str], busy_timeout_s: float) -> sqlite3.Connection:
    """A connection that cannot write, to a database that ``connect_writer`` has opened."""
    connection = _connect(path, busy_timeout_s)
    connection.executescript(load_script("connection"))
    connection.execute(statements["read_only"])
    return connection


def _connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    # check_same_thread: opened and closed by the caller's thread, used by one thread between.
    connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def _refuse_foreign(path: Path, connection: sqlite3.Connection, statements: Mapping[str, str]) -> None:
    found = connection.execute(statements["identity"]).fetchone()
    if found["things"] and found["application_id"] != _APPLICATION_ID:
        raise StoreUnavailable(f"{path} is a database of another program.")
    if found["user_version"] > SCHEMA_VERSION:
        raise StoreUnavailable(
            f"{path} was written by a newer version of Expeditor (schema {found['user_version']}; this one knows "
            f"{SCHEMA_VERSION}). Use that version, or another data directory."
        )


def _set_up(path: Path, connection: sqlite3.Connection, statements: Mapping[str, str]) -> None:
    mode = connection.execute(statements["journal_wal"]).fetchone()[0]
    if mode != "wal":
        raise StoreUnavailable(f"{path} cannot have a write-ahead log (mode {mode}). Is it on a network file system?")
    connection.executescript(load_script("connection"))
    if connection.execute(statements["identity"]).fetchone()["user_version"] == 0:
        connection.executescript(load_script("schema"))


def _refuse_damaged(path: Path, connection: sqlite3.Connection, statements: Mapping[str, str]) -> None:
    """Payloads, most of the file, are left out, so that start-up stays quick: damage there shows when one is read."""
    for name in ("check_jobs", "check_attempts"):
        verdict = connection.execute(statements[name]).fetchone()[0]
        if verdict != "ok":
            raise StoreUnavailable(f"{path} is damaged: {verdict}")
