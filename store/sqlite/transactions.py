"""Group commit: a batch of verbs in one transaction, one sync of the disk for all of them.

Owns begin, savepoints, commit and what a failure of each means. Each verb has a savepoint: a verb that raises takes
back its own changes and no other's. A commit that fails, fails the whole batch; the next one tries again.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Mapping, Sequence

from ...jobs.errors import ExpeditorError, StoreUnavailable
from ...jobs.events import Publisher
from ..base import StoreObserver
from ..verbs import Verb
from ..worker import Outcome, tell, unexpected

_log = logging.getLogger("expeditor.store")

# What SQLite raises for the verb's own values; every other error is the file's and ends the batch.
_VERBS_OWN = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError)


class Transactions:
    """Runs batches on the writing connection; ``error`` is the last write's fault, None when it worked."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        statements: Mapping[str, str],
        publisher: Publisher,
        observer: StoreObserver,
        commit_delay_s: float,
    ) -> None:
        """``commit_delay_s`` is added to every commit that writes: a slow disk for benchmarks."""
        self._connection = connection
        self._statements = statements
        self._publisher = publisher
        self._observer = observer
        self._commit_delay_s = commit_delay_s
        self.error: str | None = None

    def run(self, batch: Sequence[Verb]) -> Sequence[Outcome]:
        """Run and commit a batch, publish its events, and say what became of each verb."""
        changes = self._connection.total_changes
        try:
            self._execute("begin_write")
            outcomes = [self._in_savepoint(verb) for verb in batch]
            wrote = self._connection.total_changes != changes
            duration_s = self._commit(wrote)
        except sqlite3.Error as fault:
            return self._failed(batch, fault)
        if wrote:
            self._recovered()
            self._observer.committed(duration_s, len(batch))
        tell(self._publisher, outcomes)
        return outcomes

    def _in_savepoint(self, verb: Verb) -> Outcome:
        self._execute("savepoint")
        try:
            outcome: Outcome = verb()
        except ExpeditorError as refusal:
            self._execute("rollback_to_savepoint")
            outcome = refusal
        except Exception as fault:  # a fault of ours in one verb is no fault of the others in its batch
            if isinstance(fault, sqlite3.Error) and not isinstance(fault, _VERBS_OWN):
                raise
            outcome = unexpected()
            self._execute("rollback_to_savepoint")
        self._execute("release")
        return outcome

    def _commit(self, wrote: bool) -> float:
        began_s = time.perf_counter()
        if wrote and self._commit_delay_s:
            time.sleep(self._commit_delay_s)
        self._execute("commit")
        return time.perf_counter() - began_s

    def _failed(self, batch: Sequence[Verb], fault: sqlite3.Error) -> Sequence[Outcome]:
        if self.error is None:
            _log.error("the queue cannot be written: %s", fault)
        self.error = str(fault)
        try:
            if self._connection.in_transaction:
                self._execute("rollback")
        except sqlite3.Error as second:
            _log.error("the failed transaction cannot be rolled back: %s", second)
        return [StoreUnavailable(f"The queue's storage cannot be written, nothing was stored: {fault}.") for _ in batch]

    def _recovered(self) -> None:
        if self.error is not None:
            _log.warning("the queue can be written again")
        self.error = None

    def _execute(self, name: str) -> None:
        self._connection.execute(self._statements[name])
