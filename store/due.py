"""What time does to waiting jobs: delayed ones become claimable, others expire.

Owns when a verb's time is asked, so that the line is always as of that time. Does not own what ``expired`` means
(``jobs.transitions``).
"""

from __future__ import annotations

from dataclasses import replace

from ..jobs import transitions
from ..jobs.events import JobEvent
from ..jobs.model import Job
from .base import Clock
from .ledger import Ledger
from .standing import Standing


class DueTimes:
    """The clock of the verbs on one ledger."""

    def __init__(self, ledger: Ledger, standing: Standing, clock: Clock) -> None:
        """Touch nothing yet."""
        self._ledger = ledger
        self._standing = standing
        self._clock = clock
        self._became_due = False

    def now_s(self) -> float:
        """The time; what became due by it is claimable from here on."""
        now_s = self._clock()
        if self._ledger.promote(now_s):
            self._became_due = True
        return now_s

    def expire(self, now_s: float) -> tuple[tuple[Job, ...], tuple[JobEvent, ...]]:
        """End every waiting job whose time is over."""
        jobs: list[Job] = []
        events: list[JobEvent] = []
        for waiting in self._ledger.expired(now_s):
            job, event = transitions.expire(replace(waiting, held=False), now_s)
            self._ledger.save(job)
            self._ledger.set_history(job, "")
            self._standing.owe(job)
            jobs.append(job)
            events.append(event)
        return tuple(jobs), tuple(events)

    def take_became_due(self) -> bool:
        """Whether a delayed job became claimable since this was asked last."""
        became_due = self._became_due
        if became_due:
            self._became_due = False
            self._ledger.on_undo(self._became_due_still)
        return became_due

    def _became_due_still(self) -> None:
        self._became_due = True
