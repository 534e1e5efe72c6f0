"""``AssetStore`` on one SQLite file of its own: one thread that reads and writes, a lock against other processes.

Owns opening, closing, and group commit: all verbs that wait are run in one transaction, each in a savepoint, so that a faulty one
fails alone. Without a path it lives in memory, for a server that keeps nothing, and for tests. What a verb does is ``asset_rows``'.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ...jobs.assets import Asset, Blob, OutputNote
from ...jobs.errors import StoreUnavailable
from ..assets import Hold, Minted
from ..base import Clock, StoreState
from ..done import Done
from ..lockfile import LockFile
from ..worker import BatchWorker, Call, Outcome, unexpected
from .asset_rows import AssetRows
from .database import connect, why_not_opened
from .soundness import Damaged, SameFile, damage_told, inspect, refuse_strange, reunite, set_aside
from .statements import load_script, load_statements
from .transactions import is_the_files

T = TypeVar("T")

SCHEMA_VERSION = 1
_IN_MEMORY = Path(":memory:")
_log = logging.getLogger("expeditor.store")


@dataclass(frozen=True, slots=True)
class _Session:
    """What is there between ``open`` and ``close``."""

    connection: sqlite3.Connection
    statements: Mapping[str, str]
    rows: AssetRows
    same_file: SameFile | None


class SqliteAssets:
    """Fits ``store.assets.AssetStore``. A damaged file is set aside, and the records begin anew: ``state().notice`` says so."""

    def __init__(
        self, *, path: Path | None, clock: Clock, busy_timeout_s: float = 2.0, check_s: float | None = 5.0
    ) -> None:
        """Closed at first; touches no file. ``path`` None: in memory, gone with ``close``."""
        self._path = path
        self._clock = clock
        self._busy_timeout_s = busy_timeout_s
        self._check_s = check_s
        self._session: _Session | None = None
        self._resources = ExitStack()
        self._worker = BatchWorker("expeditor-assets", self._run)
        self._notice: str | None = None
        self._error: str | None = None
        self._any = True

    def open(self) -> None:
        """See ``AssetStore.open``."""
        if self._session is not None:
            return
        with ExitStack() as undo:
            try:
                self._session = self._opened(undo)
            except (sqlite3.Error, OSError) as fault:
                self._error = why_not_opened(self._path or _IN_MEMORY, fault)
                raise StoreUnavailable(self._error) from fault
            except StoreUnavailable as fault:
                self._error = fault.message
                raise
            self._error = None
            self._resources = undo.pop_all()
        self._any = self._session.rows.any()
        self._worker.start()

    def close(self) -> None:
        """See ``AssetStore.close``."""
        self._worker.stop()
        self._session = None
        self._resources.close()

    def state(self) -> StoreState:
        """See ``AssetStore.state``."""
        kind = "memory" if self._path is None else "sqlite"
        return StoreState(kind, self._worker.running, self._error, self._worker.pending, self._notice)

    def mint(self, asset: Asset) -> Future[Minted]:
        """See ``AssetStore.mint``."""
        self._any = True
        return self._ask(lambda rows: rows.mint(asset))

    def found(self, asset_ids: Sequence[str]) -> Future[Mapping[str, Asset]]:
        """See ``AssetStore.found``."""
        return self._ask(lambda rows: rows.found(asset_ids))

    def by_hash(self, principal: str, digest: str) -> Future[tuple[Asset, ...]]:
        """See ``AssetStore.by_hash``."""
        return self._ask(lambda rows: rows.by_hash(principal, digest))

    def named(self, principal: str, file_paths: Sequence[str]) -> Future[Mapping[str, Asset]]:
        """See ``AssetStore.named``."""
        return self._ask(lambda rows: rows.named(principal, file_paths))

    def any_named(self) -> bool:
        """See ``AssetStore.any_named``."""
        return self._any

    def delete(self, asset_id: str) -> Future[bool]:
        """See ``AssetStore.delete``."""
        return self._ask(lambda rows: rows.delete(asset_id))

    def orphans(self, limit: int) -> Future[tuple[Blob, ...]]:
        """See ``AssetStore.orphans``."""
        return self._ask(lambda rows: rows.orphans(limit))

    def forget_blobs(self, places: Sequence[str]) -> Future[None]:
        """See ``AssetStore.forget_blobs``."""
        return self._ask(lambda rows: rows.forget_blobs(places))

    def kept_places(self, places: Sequence[str]) -> Future[frozenset[str]]:
        """See ``AssetStore.kept_places``."""
        return self._ask(lambda rows: rows.kept_places(places))

    def due(self, now_s: float, unused_since_s: float | None, limit: int) -> Future[tuple[Asset, ...]]:
        """See ``AssetStore.due``."""
        return self._ask(lambda rows: rows.due(now_s, unused_since_s, limit))

    def hold(self, job_id: str, asset_ids: Sequence[str], at_s: float) -> Future[None]:
        """See ``AssetStore.hold``."""
        return self._ask(lambda rows: rows.hold(job_id, asset_ids, at_s))

    def holds(self, asset_id: str, limit: int) -> Future[tuple[Hold, ...]]:
        """See ``AssetStore.holds``."""
        return self._ask(lambda rows: rows.holds(asset_id, limit))

    def release(self, asset_id: str, job_ids: Sequence[str]) -> Future[None]:
        """See ``AssetStore.release``."""
        return self._ask(lambda rows: rows.release(asset_id, job_ids))

    def claim_key(self, principal: str, key: str, at_s: float, since_s: float) -> Future[bool]:
        """See ``AssetStore.claim_key``."""
        return self._ask(lambda rows: rows.claim_key(principal, key, at_s, since_s))

    def free_key(self, principal: str, key: str) -> Future[None]:
        """See ``AssetStore.free_key``."""
        return self._ask(lambda rows: rows.free_key(principal, key))

    def forget_keys(self, before_s: float) -> Future[None]:
        """See ``AssetStore.forget_keys``."""
        return self._ask(lambda rows: rows.forget_keys(before_s))

    def notes(self, asset_ids: Sequence[str]) -> Future[Mapping[str, OutputNote]]:
        """See ``AssetStore.notes``."""
        return self._ask(lambda rows: rows.notes(asset_ids))

    def note(self, note: OutputNote) -> Future[None]:
        """See ``AssetStore.note``."""
        return self._ask(lambda rows: rows.note(note))

    def jobs_named(self, after: str, limit: int) -> Future[tuple[str, ...]]:
        """See ``AssetStore.jobs_named``."""
        return self._ask(lambda rows: rows.jobs_named(after, limit))

    def forget_jobs(self, job_ids: Sequence[str]) -> Future[None]:
        """See ``AssetStore.forget_jobs``."""
        return self._ask(lambda rows: rows.forget_jobs(job_ids))

    # -- opening -----------------------------------------------------------------------------------------------------

    def _opened(self, held: ExitStack) -> _Session:
        statements = {**load_statements(), **load_statements("assets")}
        if self._path is None:
            return self._connected(held, _IN_MEMORY, statements, None)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        held.callback(LockFile(self._path.with_name(self._path.name + ".lock")).release)
        try:
            inspect(self._path, statements, SCHEMA_VERSION, self._busy_timeout_s, self._check_s)
            if (aside := reunite(self._path, self._clock())) is not None:
                self._tell("was gone, though its journal was there", aside)
            return self._connected(held, self._path, statements, self._path)
        except Damaged as damage:
            self._tell(f"was damaged ({damage})", set_aside(self._path, self._clock()))
        return self._connected(held, self._path, statements, self._path)

    def _connected(self, held: ExitStack, path: Path, statements: Mapping[str, str], file: Path | None) -> _Session:
        with ExitStack() as undo:
            connection = connect(path, self._busy_timeout_s)
            undo.callback(connection.close)
            with damage_told():
                identity = connection.execute(statements["identity"]).fetchone()
                refuse_strange(path, identity, SCHEMA_VERSION)
                mode = connection.execute(statements["journal_wal"]).fetchone()[0]
                if file is not None and mode != "wal":
                    raise StoreUnavailable(f"{path} cannot have a write-ahead log. Is it on a network file system?")
                connection.executescript(load_script("connection"))
                if identity["user_version"] < SCHEMA_VERSION:
                    connection.executescript(load_script("assets_schema"))
                for name in ("begin_write", "write_nothing_new", "commit"):
                    connection.execute(statements[name])
            held.push(undo.pop_all())
        same_file = None if file is None else SameFile(file)
        return _Session(connection, statements, AssetRows(connection, statements), same_file)

    def _tell(self, what: str, aside: Path) -> None:
        self._notice = (
            f"The database of the assets {what}; what was found was set aside as {aside}. The records began anew: assets from before "
            "are not known any more, their files are where they were."
        )
        _log.error("%s", self._notice, extra={"event": "assets.set_aside"})

    # -- running -----------------------------------------------------------------------------------------------------

    def _ask(self, verb: Callable[[AssetRows], T]) -> Future[T]:
        return self._worker.submit(lambda: Done(verb(self._now_open().rows)))

    def _run(self, batch: Sequence[Call]) -> Sequence[Outcome]:
        try:
            outcomes = self._in_transaction(batch)
        except sqlite3.Error as fault:
            return self._failed(batch, fault)
        self._error = None
        return outcomes

    def _in_transaction(self, batch: Sequence[Call]) -> list[Outcome]:
        session = self._now_open()
        changes = session.connection.total_changes
        self._execute("begin_write")
        outcomes = [self._in_savepoint(call) for call in batch]
        if session.same_file is not None and session.connection.total_changes != changes:
            session.same_file.check()
        self._execute("commit")
        return outcomes

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

    def _failed(self, batch: Sequence[Call], fault: sqlite3.Error) -> Sequence[Outcome]:
        if self._error is None:
            _log.error("the asset records cannot be written: %s", fault)
        self._error = str(fault)
        connection = self._now_open().connection
        try:
            if connection.in_transaction:
                self._execute("rollback")
        except sqlite3.Error as second:
            _log.error("the failed transaction cannot be rolled back: %s", second)
        return [StoreUnavailable(f"The asset records cannot be written, nothing was stored: {fault}.") for _ in batch]

    def _execute(self, name: str) -> None:
        session = self._now_open()
        session.connection.execute(session.statements[name])

    def _now_open(self) -> _Session:
        assert self._session is not None, "the thread runs only while the store is open"
        return self._session
