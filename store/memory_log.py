"""The event log of the store in memory: events by position, and the same of each job, principal and batch.

Owns its rows alone. What is an event and when it is kept is the verbs'.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict

from ..jobs.events import JobEvent, LoggedEvent
from ..jobs.log import EVENTS_PER_JOB, LogQuery


class MemoryLog:
    """Lists of events, each by position."""

    def __init__(self) -> None:
        """Nothing happened yet."""
        self._all: list[LoggedEvent] = []
        self._of_job: defaultdict[str, list[LoggedEvent]] = defaultdict(list)
        self._of_principal: defaultdict[str, list[LoggedEvent]] = defaultdict(list)
        self._of_batch: defaultdict[str, list[LoggedEvent]] = defaultdict(list)
        self._last = 0
        self._forgotten = 0

    def log(self, events: tuple[JobEvent, ...]) -> tuple[JobEvent, ...]:
        """See ``Ledger.log``."""
        return tuple(self._keep(event) for event in events)

    def events(self, query: LogQuery, limit: int) -> list[LoggedEvent]:
        """See ``ReadLedger.events``."""
        if query.job_id is not None:
            kept = self._of_job.get(query.job_id, [])
        elif query.batch_id is not None:
            kept = self._of_batch.get(query.batch_id, [])
        elif query.principal is not None:
            kept = self._of_principal.get(query.principal, [])
        else:
            kept = self._all
        first = bisect_right(kept, query.after, key=_position)
        return kept[first : first + limit]

    def last_position(self) -> int:
        """See ``ReadLedger.last_position``."""
        return self._last

    def forgotten_position(self) -> int:
        """See ``ReadLedger.forgotten_position``."""
        return self._forgotten

    def forget(self, job_id: str) -> None:
        """A job is pruned, and its events with it."""
        for event in self._of_job.pop(job_id, ()):
            self._strike(event)

    def _keep(self, event: JobEvent) -> JobEvent:
        own = self._of_job[event.job.id]
        self._last += 1
        event = event.numbered(self._last, own[-1].number + 1 if own else 1)
        told = event.logged()
        for kept in (self._all, own, *self._lists(told)):
            kept.append(told)
        if len(own) > EVENTS_PER_JOB:
            self._strike(own.pop(0))
        return event

    def _strike(self, event: LoggedEvent) -> None:
        self._forgotten = max(self._forgotten, event.position)
        for kept in (self._all, *self._lists(event)):
            del kept[bisect_left(kept, event.position, key=_position)]

    def _lists(self, event: LoggedEvent) -> list[list[LoggedEvent]]:
        of_batch = () if event.batch_id is None else (self._of_batch[event.batch_id],)
        return [self._of_principal[event.principal], *of_batch]


def _position(event: LoggedEvent) -> int:
    return event.position
