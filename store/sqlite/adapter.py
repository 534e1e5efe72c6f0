"""``JobStore`` on one SQLite file: a thread that writes, a thread that reads, a lock against other processes.

Owns opening, closing and who runs where. Group commit is ``transactions``' own, rows are ``finding``'s and
``changes``', and what a verb means stands in ``store.verbs``.

A read of one job waits only for the writes that may touch that job. An unfinished job that nobody writes, its place and who
is ahead of it are answered from memory, by the caller's thread: no hand-over, no statement. The place is as the writes so far left
the line, those included whose commit is under way; the job itself never is.
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

from ...jobs.affinity import AffinityPolicy
from ...jobs.errors import StoreUnavailable
from ...jobs.events import Publisher
from ...jobs.model import Job
from ...jobs.ordering import OrderPolicy
from ..base import Clock, KeyedJob, StoreState
from ..done import Done
from ..held import HeldLedger
from ..ledger import basis
from ..listeners import StoreObserver
from ..lockfile import LockFile
from ..reading import Reading
from ..records import Ahead, EstimateBasis, Place
from ..threaded import ThreadedStore
from ..verbs import NO_AFFINITY, Verbs
from ..worker import AskedKey, BatchWorker, Call, Outcome, outcome_of
from .changes import ChangeWriter, take_rows
from .database import connect_reader, connect_writer, why_not_opened
from .finding import ReaderRows, SqliteRows
from .migrations import SCHEMA_VERSION
from .soundness import Damaged, SameFile, garbage_told, inspect, is_damage, reunite, set_aside
from .statements import load_statements
from .transactions import Transactions
from .unfinished import MoveNote

T = TypeVar("T")

_log = logging.getLogger("expeditor.store")


@dataclass(frozen=True, slots=True)
class _Session:
    """What is there between ``open`` and ``close``."""

    statements: Mapping[str, str]
    reader: sqlite3.Connection
    verbs: Verbs
    ledger: HeldLedger
    reading: Reading
    transactions: Transactions


class SqliteStore(ThreadedStore):
    """The durable queue of one process.

    ``path`` is the database file; its folder is made if missing. ``commit_delay_s`` is added to every commit, for
    benchmarks of slow disks. ``busy_timeout_s`` bounds the wait for another program that has the file locked, ``check_s``
    the search for damage at the opening. A damaged file is set aside, and the queue begins anew: ``state().notice`` says so.
    ``moving``: open it though a move of its jobs is not finished (``unfinished``).
    """

    def __init__(  # noqa: PLR0913 - so much can be set
        self,
        *,
        path: Path,
        policy: OrderPolicy,
        clock: Clock,
        boot_id: str,
        publisher: Publisher,
        observer: StoreObserver,
        affinity: AffinityPolicy = NO_AFFINITY,
        commit_delay_s: float = 0.0,
        busy_timeout_s: float = 2.0,
        check_s: float = 5.0,
        moving: bool = False,
    ) -> None:
        """Closed at first; touches no file."""
        self._path = path
        self._policy = policy
        self._clock = clock
        self._boot_id = boot_id
        self._publisher = publisher
        self._observer = observer
        self._affinity = affinity
        self._commit_delay_s = commit_delay_s
        self._busy_timeout_s = busy_timeout_s
        self._check_s: float | None = check_s
        self._moving = moving
        self._notice: str | None = None
        self._session: _Session | None = None
        self._resources = ExitStack()
        self._writer = BatchWorker("expeditor-store-write", self._run_writes)
        self._reader = BatchWorker("expeditor-store-read", self._run_reads)

    def open(self) -> None:
        """See ``JobStore.open``. Scores are computed anew when the policy is not that of the last time."""
        if self._session is not None:
            return
        with ExitStack() as undo:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                undo.callback(LockFile(self._path.with_name(self._path.name + ".lock")).release)
                if not self._moving:
                    MoveNote(self._path).refuse()
                self._session = self._opened_or_anew(undo)
                self._resources = undo.pop_all()
            except (sqlite3.Error, OSError) as fault:
                raise StoreUnavailable(why_not_opened(self._path, fault)) from fault
        self._writer.start()
        self._reader.start()

    def close(self) -> None:
        """See ``JobStore.close``. Reads end first: they may wait for writes."""
        self._reader.stop()
        self._writer.stop()
        self._session = None
        self._resources.close()

    def state(self) -> StoreState:
        """See ``JobStore.state``."""
        session = self._session
        return StoreState(
            kind="sqlite",
            open=self._writer.running,
            error=None if session is None else session.transactions.error,
            pending_writes=self._writer.pending,
            notice=self._notice,
        )

    def get(self, job_id: str) -> Future[Job | None]:
        """See ``JobStore.get``. At once for an unfinished job that nobody writes: what is in memory is what is committed."""
        asked = self._writer.ticket()
        session = self._at_rest(job_id)
        job = None if session is None else session.ledger.line.get(job_id)
        untouched = self._writer.ticket() == asked
        return super().get(job_id) if job is None or not untouched else _answered(job)

    def place(self, job_id: str) -> Future[Place | None]:
        """See ``JobStore.place``."""
        session = self._at_rest(job_id)
        return (
            super().place(job_id) if session is None else _answered(session.ledger.line.places((job_id,)).get(job_id))
        )

    def ahead(self, job_id: str) -> Future[Ahead | None]:
        """See ``JobStore.ahead``."""
        session = self._at_rest(job_id)
        return super().ahead(job_id) if session is None else _answered(session.ledger.line.ahead(job_id))

    def basis(self, signature: str) -> Future[EstimateBasis]:
        """See ``JobStore.basis``."""
        session = self._at_rest()
        try:
            return super().basis(signature) if session is None else _answered(basis(session.ledger.held, signature))
        except KeyError:
            return super().basis(signature)

    def keyed(self, principal: str, key: str) -> Future[KeyedJob | None]:
        """See ``JobStore.keyed``. Waits only for what was asked with this key: no submit for another's commit."""
        ticket = self._writer.ticket_with((principal, key))
        return self._reader.submit(lambda: self._in_snapshot(ticket, lambda reading: reading.keyed(principal, key)))

    def _at_rest(self, job_id: str | None = None) -> _Session | None:
        """The session, if the store is open and no write is pending that may touch this job (None: any job)."""
        rests = self._reader.running and self._writer.settled(self._writer.ticket(job_id))
        return self._session if rests else None

    def _opened_or_anew(self, held: ExitStack) -> _Session:
        """The session on the file; or, if that is damaged, on a new one, with the old one set aside."""
        statements = load_statements()
        try:
            whole = inspect(self._path, statements, SCHEMA_VERSION, self._busy_timeout_s, self._check_s)
            if not whole:
                _log.info("%s is large: not all of it was searched for damage", self._path)
            aside = reunite(self._path, self._clock())
            if aside is not None:
                self._notice = self._told("was gone, though its journal was there", aside)
            return self._opened(held, statements)
        except Damaged as damage:
            self._notice = self._set_aside(damage)
        return self._opened(held, statements)

    def _set_aside(self, damage: Damaged) -> str:
        try:
            aside = set_aside(self._path, self._clock())
        except OSError as fault:
            raise StoreUnavailable(f"{self._path} is damaged ({damage}) and cannot be set aside: {fault}.") from fault
        return self._told(f"was damaged ({damage})", aside)

    def _told(self, what: str, aside: Path) -> str:
        notice = (
            f"The queue's database {what}; what was found was set aside as {aside}. The queue began anew: jobs from before are "
            "not shown and do not run. docs/operations.md says how to get them back."
        )
        _log.error("%s", notice, extra={"event": "store.set_aside"})
        return notice

    def _opened(self, held: ExitStack, statements: Mapping[str, str]) -> _Session:
        with ExitStack() as undo:
            session = self._connected(undo, statements)
            held.push(undo.pop_all())
        return session

    def _connected(self, undo: ExitStack, statements: Mapping[str, str]) -> _Session:
        writer = connect_writer(self._path, statements, self._busy_timeout_s)
        undo.callback(writer.close)
        reader = connect_reader(self._path, statements, self._busy_timeout_s)
        undo.callback(reader.close)
        rows = SqliteRows(writer, statements)
        with garbage_told():
            ledger = HeldLedger(rows, self._clock())
        verbs = Verbs(ledger, self._policy, self._clock, self._boot_id, self._affinity)
        if rows.policy() != self._policy.signature:
            verbs.rescore()
            writer.execute(statements["begin_write"])
            ChangeWriter(writer, statements).write(take_rows(ledger.changes))
            writer.execute(statements["set_policy"], {"policy": self._policy.signature})
            writer.execute(statements["commit"])
            ledger.commit()
        return _Session(
            statements=statements,
            reader=reader,
            verbs=verbs,
            ledger=ledger,
            reading=Reading(ReaderRows(reader, statements, ledger.line), self._clock),
            transactions=Transactions(
                writer,
                statements,
                ledger,
                self._publisher,
                self._observer,
                self._commit_delay_s,
                SameFile(self._path),
            ),
        )

    def _write(
        self, verb: Callable[[Verbs], Done[T]], job_id: str | None = None, key: AskedKey | None = None
    ) -> Future[T]:
        return self._writer.submit(lambda: verb(self._now_open().verbs), job_id, key)

    def _read(self, verb: Callable[[Reading], Done[T]], job_id: str | None = None) -> Future[T]:
        ticket = self._writer.ticket(job_id)
        return self._reader.submit(lambda: self._in_snapshot(ticket, verb))

    def _in_snapshot(self, ticket: int, verb: Callable[[Reading], Done[T]]) -> Done[T]:
        """One consistent look at the rows, after the commit of the writes that the ticket stands for."""
        self._writer.wait_for(ticket)
        session = self._now_open()
        try:
            session.reader.execute(session.statements["begin_read"])
            try:
                return verb(session.reading)
            finally:
                session.reader.execute(session.statements["rollback"])
        except sqlite3.Error as fault:
            if is_damage(fault):
                self._check_s = None  # the next opening searches all of the file
            raise StoreUnavailable(f"The queue's storage cannot be read: {fault}.") from fault

    def _run_writes(self, batch: Sequence[Call]) -> Sequence[Outcome]:
        return self._now_open().transactions.run(batch)

    def _run_reads(self, batch: Sequence[Call]) -> Sequence[Outcome]:
        return [outcome_of(call.run) for call in batch]

    def _now_open(self) -> _Session:
        assert self._session is not None, "the threads run only while the store is open"
        return self._session


def _answered(value: T) -> Future[T]:
    future: Future[T] = Future()
    future.set_result(value)
    return future
