"""Group commit: a batch of verbs in one transaction, one sync of the disk for all of them.

Owns begin, savepoints, commit and what a failure of each means. A batch runs in memory first (``ledger``) and is then
written at once. A verb that refuses has changed nothing. After any other fault in a verb or in what it wants written,
the whole batch is taken back and run again with a savepoint around each verb, so that only the faulty one fails.
A file that cannot be written fails the whole batch; the next one tries again.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Mapping, Sequence

from ...jobs.errors import ExpeditorError, StoreUnavailable
from ...jobs.events import Publisher
from ..held import HeldLedger
from ..listeners import StoreObserver
from ..worker import Call, Outcome, tell, unexpected
from .changes import ROWS_MAX, ChangeWriter, take_rows
from .soundness import SameFile

_log = logging.getLogger("expeditor.store")

# What SQLite raises for the verb's own values; every other error is the file's and ends the batch.
_VERBS_OWN = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError)


class Transactions:
    """Runs batches on the writing connection; ``error`` is the last write's fault, None when it worked."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        statements: Mapping[str, str],
        ledger: HeldLedger,
        publisher: Publisher,
        observer: StoreObserver,
        commit_delay_s: float,
        same_file: SameFile,
    ) -> None:
        """``same_file`` is asked before every commit that writes.

        ``commit_delay_s`` is added to each of them: a slow disk for benchmarks.
        """
        self._connection = connection
        self._statements = statements
        self._writer = ChangeWriter(connection, statements)
        self._ledger = ledger
        self._publisher = publisher
        self._observer = observer
        self._commit_delay_s = commit_delay_s
        self._same_file = same_file
        self.error: str | None = None

    def run(self, batch: Sequence[Call]) -> Sequence[Outcome]:
        """Run and commit a batch, publish its events, and say what became of each verb."""
        try:
            try:
                outcomes, wrote_s = self._at_once(batch)
            except Exception as fault:  # a fault of ours in one verb is no fault of the others in its batch
                if is_the_files(fault):
                    raise
                _log.warning("a batch of %d verbs is run again, each on its own", len(batch))
                self._take_back()
                outcomes, wrote_s = self._one_by_one(batch)
        except sqlite3.Error as fault:
            return self._failed(batch, fault)
        self._ledger.commit()
        if wrote_s is not None:
            self._recovered()
            self._observer.committed(wrote_s, len(batch))
        tell(self._publisher, outcomes)
        return outcomes

    def _at_once(self, batch: Sequence[Call]) -> tuple[list[Outcome], float | None]:
        """The outcomes, and how long the commit took, None when there was nothing to write."""
        keys = [call.key for call in batch if call.key is not None]
        self._ledger.expect((call.job_id for call in batch if call.job_id is not None), keys)
        outcomes = [_refusable(call) for call in batch]
        rows = take_rows(self._ledger.changes)
        if not rows:
            return outcomes, None
        began_s = self._commit_begins()
        if len(rows) <= ROWS_MAX:
            self._writer.write(rows)  # one statement is its own transaction
        else:
            self._execute("begin_write")
            self._writer.write(rows)
            self._execute("commit")
        return outcomes, time.perf_counter() - began_s

    def _one_by_one(self, batch: Sequence[Call]) -> tuple[list[Outcome], float | None]:
        changes = self._connection.total_changes
        self._execute("begin_write")
        outcomes = [self._in_savepoint(call) for call in batch]
        wrote = self._connection.total_changes != changes
        began_s = self._commit_begins() if wrote else time.perf_counter()
        self._execute("commit")
        return outcomes, time.perf_counter() - began_s if wrote else None

    def _in_savepoint(self, call: Call) -> Outcome:
        mark = self._ledger.mark()
        self._execute("savepoint")
        try:
            outcome = _refusable(call)
            self._writer.write(take_rows(self._ledger.changes))
        except Exception as fault:  # as above
            if is_the_files(fault):
                raise
            outcome = unexpected()
            self._ledger.roll_back(mark)
            self._execute("rollback_to_savepoint")
        self._execute("release")
        return outcome

    def _commit_begins(self) -> float:
        began_s = time.perf_counter()
        self._same_file.check()
        if self._commit_delay_s:
            time.sleep(self._commit_delay_s)
        return began_s

    def _failed(self, batch: Sequence[Call], fault: sqlite3.Error) -> Sequence[Outcome]:
        if self.error is None:
            _log.error("the queue cannot be written: %s", fault)
        self.error = str(fault)
        try:
            self._take_back()
        except sqlite3.Error as second:
            _log.error("the failed transaction cannot be rolled back: %s", second)
        return [StoreUnavailable(f"The queue's storage cannot be written, nothing was stored: {fault}.") for _ in batch]

    def _take_back(self) -> None:
        self._ledger.roll_back()
        if self._connection.in_transaction:
            self._execute("rollback")

    def _recovered(self) -> None:
        if self.error is not None:
            _log.warning("the queue can be written again")
        self.error = None

    def _execute(self, name: str) -> None:
        self._connection.execute(self._statements[name])


def _refusable(call: Call) -> Outcome:
    try:
        return call.run()
    except ExpeditorError as refusal:
        return refusal


def is_the_files(fault: Exception) -> bool:
    """Whether an error is that of the database file, so that it ends the batch; all others are the verb's own."""
    return isinstance(fault, sqlite3.Error) and not isinstance(fault, _VERBS_OWN)
