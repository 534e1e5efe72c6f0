"""The queue in memory: the reference that other stores are held to, a shipped fake for tests, and the store of a server
that was told to keep nothing.

Owns the thread that runs the verbs; the rows are ``memory_ledger``'s. "Committed" means here: in the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from ..jobs.affinity import AffinityPolicy
from ..jobs.events import Publisher
from ..jobs.ordering import OrderPolicy
from .base import Clock, StoreState
from .done import Done
from .listeners import StoreObserver
from .memory_ledger import MemoryLedger
from .reading import Reading
from .threaded import ThreadedStore
from .verbs import NO_AFFINITY, Verbs
from .worker import AskedKey, BatchWorker, Call, Outcome, outcome_of, tell

__all__ = ["MemoryLedger", "MemoryStore"]

T = TypeVar("T")


class MemoryStore(ThreadedStore):
    """``JobStore`` in memory, on one thread of its own. Contents outlive ``close``, not the process."""

    def __init__(
        self,
        *,
        policy: OrderPolicy,
        clock: Clock,
        boot_id: str,
        publisher: Publisher,
        observer: StoreObserver,
        affinity: AffinityPolicy = NO_AFFINITY,
        ledger: MemoryLedger | None = None,
    ) -> None:
        """Closed at first. ``ledger``: the rows to start with, for playing a restart."""
        self._rows = ledger or MemoryLedger()
        self._clock = clock
        self._verbs = Verbs(self._rows, policy, clock, boot_id, affinity)
        self._reading = Reading(self._rows, clock)
        self._publisher = publisher
        self._observer = observer
        self._worker = BatchWorker("expeditor-store", self._run)

    def open(self) -> None:
        """See ``JobStore.open``."""
        if not self._worker.running:
            self._rows.promote(self._clock())
            self._worker.start()

    def close(self) -> None:
        """See ``JobStore.close``."""
        self._worker.stop()

    def state(self) -> StoreState:
        """See ``JobStore.state``."""
        return StoreState(kind="memory", open=self._worker.running, error=None, pending_writes=self._worker.pending)

    def _write(
        self, verb: Callable[[Verbs], Done[T]], job_id: str | None = None, key: AskedKey | None = None
    ) -> Future[T]:
        return self._worker.submit(lambda: verb(self._verbs), job_id, key)

    def _read(self, verb: Callable[[Reading], Done[T]], job_id: str | None = None) -> Future[T]:
        return self._worker.submit(lambda: verb(self._reading), job_id)

    def _run(self, batch: Sequence[Call]) -> Sequence[Outcome]:
        began_s = time.perf_counter()
        outcomes = [outcome_of(call.run) for call in batch]
        if tell(self._publisher, outcomes):
            self._observer.committed(time.perf_counter() - began_s, len(batch))
        return outcomes
