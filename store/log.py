"""The event log's contract: what a store keeps of what happened, so that nobody who was away misses anything.

Every event of every writing verb is kept in the verb's own commit, numbered (``JobEvent.position``, ``JobEvent.number``), until its job
is pruned. Of one job at most the newest ``jobs.log.EVENTS_PER_JOB`` are kept. Reading goes by position, so that a reader who comes
back with the last position that it has seen goes on exactly there.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol

from ..jobs.log import LogPage, LogQuery


class EventLog(Protocol):
    """The reading side; the writing side is every writing verb."""

    def events(self, query: LogQuery) -> Future[LogPage]:
        """One page of the log; sees every verb asked before. ``InputInvalid`` for a limit out of range."""
        ...

    def last_position(self) -> Future[int]:
        """The position of the newest event; 0 before the first. Who streams from now on starts here."""
        ...
