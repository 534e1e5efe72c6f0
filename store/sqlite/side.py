"""A small database of its own beside the queue's: one file, one thread that reads and writes, one transaction for all that waits.

Owns opening (a damaged file is set aside and begun anew), the thread, and the transaction; each verb runs in a savepoint, so that a
faulty one fails alone. Without a path it lives in memory. Does not own what stands in it: schema and statements are named by
whoever uses it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ...jobs.errors import StoreUnavailable
from ..base import Clock, StoreState
from ..done import Done
from ..lockfile import LockFile
from ..worker import BatchWorker, Call, Outcome, unexpected
from .database import connect, why_not_opened
from .soundness import Damaged, SameFile, damage_told, inspect, refuse_strange, reunite, set_aside
from .statements import load_script, load_statements
from .transactions import is_the_files

T = TypeVar("T")
Rows = list[sqlite3.Row]

IN_MEMORY = Path(":memory:")
BUSY_TIMEOUT_S = 2.0
CHECK_S = 5.0
TOLD_FOR_S = 60.0
"""How long a failed write is told of while nothing else is written."""
_log = logging.getLogger("expeditor.store")


@dataclass(frozen=True, slots=True)
class SideKind:
    """What stands in the file: ``name`` is that of its ``.sql`` file and, with ``_schema``, of the script that makes it.

    ``told`` names it in a sentence; ``thread`` its thread; ``lost`` says what a file that was set aside means. Among its statements
    there is ``write_nothing_new``. ``own_lock``: a lock keeps other processes out, for what is opened without the queue's.
    """

    name: str
    version: int
    told: str
    thread: str
    lost: str = ""
    own_lock: bool = False


@dataclass(frozen=True, slots=True)
class _Session:
    connection: sqlite3.Connection
    same_file: SameFile | None


class SideDatabase:
    """See the module's docstring."""

    def __init__(
        self,
        kind: SideKind,
        path: Path | None,
        clock: Clock,
        *,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        check_s: float | None = CHECK_S,
    ) -> None:
        """Closed at first; touches no file. ``path`` None: in memory, gone with ``close``. ``check_s`` bounds the search for damage."""
        self._kind = kind
        self._path = path
        self._clock = clock
        self._busy_timeout_s = busy_timeout_s
        self._check_s = check_s
        self._held = ExitStack()
        self._statements: Mapping[str, str] = {}
        self._session: _Session | None = None
        self._worker = BatchWorker(kind.thread, self._run)
        self._error: str | None = None
        self._failed_at_s = 0.0
        self._notice: str | None = None

    def open(self) -> bool:
        """Make it usable; blocks. True when a damaged file was set aside. Raises ``StoreUnavailable``; may be tried again."""
        if self._session is not None:
            return False
        self._statements = {**load_statements(), **load_statements(self._kind.name)}
        with ExitStack() as undo:
            try:
                damaged = self._open(undo)
            except (sqlite3.Error, OSError) as fault:
                self._error = why_not_opened(self._path or IN_MEMORY, fault)
                raise StoreUnavailable(self._error) from fault
            except StoreUnavailable as fault:
                self._error = fault.message
                raise
            self._held = undo.pop_all()
        self._error = None
        self._worker.start()
        return damaged

    def close(self) -> None:
        """Do what was asked and let go of the file; blocks; idempotent."""
        self._worker.stop()
        self._session = None
        self._held.close()

    def state(self) -> StoreState:
        """How it is: ``error`` says why it could not be opened or last written; no I/O."""
        kind = "memory" if self._path is None else "sqlite"
        return StoreState(kind, self._worker.running, self._error, self._worker.pending, self._notice)

    def ask(self, verb: Callable[[], T]) -> Future[T]:
        """Have ``verb`` run on the thread, in a transaction; done once that is committed."""
        return self._worker.submit(lambda: Done(verb()))

    def run(self, name: str, /, **values: Any) -> sqlite3.Cursor:
        """For verbs: run the statement ``name``."""
        return self._connection().execute(self._statements[name], values)

    def rows(self, name: str, /, **values: Any) -> Rows:
        """For verbs: all rows of the statement ``name``."""
        return self.run(name, **values).fetchall()

    def change(self, name: str, /, **values: Any) -> int:
        """For verbs: run the statement ``name``; how many rows it changed."""
        return self.run(name, **values).rowcount

    # -- opening -----------------------------------------------------------------------------------------------------

    def _open(self, held: ExitStack) -> bool:
        path = self._path
        if path is None:
            self._session = self._connected(held, IN_MEMORY)
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._kind.own_lock:
            held.callback(LockFile(path.with_name(path.name + ".lock")).release)
        try:
            inspect(path, self._statements, self._kind.version, self._busy_timeout_s, self._check_s)
            if (aside := reunite(path, self._clock())) is not None:
                self._tell("was gone, though its journal was there", aside)
            self._session = self._connected(held, path)
        except Damaged as damage:
            self._tell(f"was damaged ({damage})", set_aside(path, self._clock()))
            self._session = self._connected(held, path)
            return True
        return False

    def _connected(self, held: ExitStack, path: Path) -> _Session:
        with ExitStack() as undo:
            connection = connect(path, self._busy_timeout_s)
            undo.callback(connection.close)
            with damage_told():
                self._set_up(path, connection)
            session = _Session(connection, None if path is IN_MEMORY else SameFile(path))
            held.push(undo.pop_all())
        return session

    def _set_up(self, path: Path, connection: sqlite3.Connection) -> None:
        found = connection.execute(self._statements["identity"]).fetchone()
        refuse_strange(path, found, self._kind.version)
        mode = connection.execute(self._statements["journal_wal"]).fetchone()[0]
        if path is not IN_MEMORY and mode != "wal":
            raise StoreUnavailable(
                f"{path} cannot have a write-ahead log (mode {mode}). Is it on a network file system?"
            )
        connection.executescript(load_script("connection"))
        if found["user_version"] < self._kind.version:
            connection.executescript(load_script(f"{self._kind.name}_schema"))
        for name in ("begin_write", "write_nothing_new", "commit"):
            connection.execute(self._statements[name])

    def _tell(self, what: str, aside: Path) -> None:
        self._notice = (
            f"The database of {self._kind.told} {what}; what was found was set aside as {aside}, and a new one was begun."
            f"{self._kind.lost}"
        )
        _log.error("%s", self._notice, extra={"event": "store.set_aside"})

    # -- on the thread -----------------------------------------------------------------------------------------------

    def _run(self, batch: Sequence[Call]) -> Sequence[Outcome]:
        with ExitStack() as undo:
            undo.callback(self._roll_back)
            try:
                outcomes, wrote = self._in_transaction(batch)
            except sqlite3.Error as fault:
                return self._failed(batch, fault)
        # On a full disk reading goes on: what was only read does not show that all is well again.
        if wrote or self._clock() - self._failed_at_s > TOLD_FOR_S:
            self._error = None
        return outcomes

    def _in_transaction(self, batch: Sequence[Call]) -> tuple[list[Outcome], bool]:
        connection, same_file = self._connection(), self._now_open().same_file
        before = connection.total_changes
        self._execute("begin_write")
        outcomes = [self._in_savepoint(call) for call in batch]
        wrote = connection.total_changes != before
        if same_file is not None and wrote:
            same_file.check()
        self._execute("commit")
        return outcomes, wrote

    def _in_savepoint(self, call: Call) -> Outcome:
        self._execute("savepoint")
        try:
            outcome: Outcome = call.run()
        except Exception as fault:  # a fault of ours in one verb is no fault of the others in its batch
            if is_the_files(fault):
                raise
            outcome = unexpected()
            self._execute("rollback_to_savepoint")
        self._execute("release")
        return outcome

    def _failed(self, batch: Sequence[Call], fault: sqlite3.Error) -> list[Outcome]:
        message = f"The database of {self._kind.told} cannot be written, nothing was stored: {fault}."
        if self._error is None:
            _log.error("%s", message, extra={"event": "side.failed"})
        self._error, self._failed_at_s = message, self._clock()
        return [StoreUnavailable(message) for _ in batch]

    def _roll_back(self) -> None:
        try:
            if self._connection().in_transaction:
                self._execute("rollback")
        except sqlite3.Error as fault:
            _log.error("a failed transaction cannot be rolled back: %s", fault)

    def _execute(self, name: str) -> None:
        self._connection().execute(self._statements[name])

    def _connection(self) -> sqlite3.Connection:
        return self._now_open().connection

    def _now_open(self) -> _Session:
        if self._session is None:
            raise StoreUnavailable(f"The database of {self._kind.told} is not open.")
        return self._session
