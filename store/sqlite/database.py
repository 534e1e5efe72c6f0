"""Opening the database file: settings, schema, and whether it can be written.

Owns connections until they are handed over. Never changes or deletes a file that it cannot use: it says what is wrong.
Whether the file is ours, sound and not too new is found out before, without writing to it (``soundness``).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from ...jobs.errors import StoreUnavailable
from .migrations import SCHEMA_VERSION, migrate
from .soundness import damage_told, refuse_strange
from .statements import load_script


def connect_writer(path: Path, statements: Mapping[str, str], busy_timeout_s: float) -> sqlite3.Connection:
    """The connection that writes; makes the schema in a new file. ``StoreUnavailable`` names the file and the reason.

    ``Damaged`` for a file that turns out not to be what this store wrote. It has been written to once: a disk that is full
    or read-only shows here, not at the first job.
    """
    connection = connect(path, busy_timeout_s)
    try:
        with damage_told():
            refuse_strange(path, connection.execute(statements["identity"]).fetchone(), SCHEMA_VERSION)
            _set_up(path, connection, statements)
            for name in ("begin_write", "write_nothing_new", "commit"):
                connection.execute(statements[name])
        connection.executescript(load_script("changes"))
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path, statements: Mapping[str, str], busy_timeout_s: float) -> sqlite3.Connection:
    """A connection that cannot write, to a database that ``connect_writer`` has opened."""
    connection = connect(path, busy_timeout_s)
    connection.executescript(load_script("connection"))
    connection.execute(statements["read_only"])
    return connection


def why_not_opened(path: Path, fault: sqlite3.Error | OSError) -> str:
    """A sentence for people: what is wrong, and what they may do."""
    if path.is_dir():
        return f"{path} cannot be opened: it is a folder."
    if "locked" in str(fault):
        return f"{path} cannot be opened: another program has it locked ({fault})."
    for each, kind in ((path.parent, "folder"), (path, "file")):
        if each.exists() and not os.access(each, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            return f"{path} cannot be opened: the {kind} {each} cannot be written by this user, or its disk is read-only ({fault})."
    return f"{path} cannot be opened: {fault}."


def connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection without settings yet; no statement opens a transaction but ours."""
    # check_same_thread: opened and closed by the caller's thread, used by one thread between.
    connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def _set_up(path: Path, connection: sqlite3.Connection, statements: Mapping[str, str]) -> None:
    mode = connection.execute(statements["journal_wal"]).fetchone()[0]
    if mode != "wal":
        raise StoreUnavailable(f"{path} cannot have a write-ahead log (mode {mode}). Is it on a network file system?")
    connection.executescript(load_script("connection"))
    migrate(connection, connection.execute(statements["identity"]).fetchone()["user_version"])
