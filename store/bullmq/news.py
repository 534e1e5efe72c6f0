"""Tells what other members did to the queue, in the order of its log.

Owns what is told to ``Neighbours`` and that nothing of them can hurt the store. Used by the writing thread, so that what others committed
is told before what this member committed after it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ...jobs.events import JobEvent
from ...jobs.model import Cause, Job
from ..listeners import Neighbours
from .ledger import View
from .records import live_event

_log = logging.getLogger("expeditor.store")


class Quiet:
    """Hears nothing: ``Neighbours`` of a store that nobody listens to."""

    def heard(self, events: tuple[JobEvent, ...]) -> None:
        """See ``Neighbours``."""

    def missed(self, after: int, until: int) -> None:
        """See ``Neighbours``."""

    def waiting(self) -> None:
        """See ``Neighbours``."""

    def lease_lost(self, job_id: str, attempt: int) -> None:
        """See ``Neighbours``."""


class News:
    """Tells one member's ``Neighbours``."""

    def __init__(self, neighbours: Neighbours, boot_id: str) -> None:
        """Nothing was heard yet. ``boot_id``: this member's life."""
        self._neighbours = neighbours
        self._boot_id = boot_id

    def tell(self, view: View, told: int, *, woken: bool) -> None:
        """What others committed after position ``told``."""
        jobs = {job_id: kept.job for job_id, kept in view.jobs if kept is not None}
        events = tuple(
            live_event(logged, jobs[logged.job_id])
            for logged in view.events
            if logged.position > told and logged.job_id in jobs
        )
        if events:
            self._safely(lambda: self._neighbours.heard(events))
        if woken:
            self._safely(self._neighbours.waiting)

    def missed(self, after: int, until: int) -> None:
        """It is not known what happened between these positions."""
        if until > after:
            self._safely(lambda: self._neighbours.missed(after, until))
        self._safely(self._neighbours.waiting)

    def replaced(self, until: int) -> None:
        """It is another queue now, of which this is the last position: 0 when nothing has happened in it yet."""
        self._safely(lambda: self._neighbours.missed(0, until))
        self._safely(self._neighbours.waiting)

    def taken_in(self, view: View, held: Callable[[str], Job | None]) -> list[tuple[str, int]]:
        """The attempts of this life, as ``held`` before the view, that somebody has since given up as lost."""
        return [
            (job_id, before.attempt)
            for job_id, kept in view.jobs
            if kept is not None and (before := held(job_id)) is not None and self._was_lost(before, kept.job)
        ]

    def lost(self, job_id: str, attempt: int) -> None:
        """An attempt of this life is another's business now."""
        _log.warning("the lease of job %s is lost: it goes to another run", job_id)
        self._safely(lambda: self._neighbours.lease_lost(job_id, attempt))

    def _was_lost(self, before: Job, after: Job) -> bool:
        if (
            before.in_line
            or not before.attempts
            or before.attempts[-1].outcome is not None
            or before.attempts[-1].boot_id != self._boot_id
        ):
            return False
        now = after.attempts[before.attempt - 1 : before.attempt]
        return bool(now) and now[0].cause is Cause.LEASE_LOST

    def _safely(self, say: Callable[[], None]) -> None:
        try:
            say()
        except Exception:  # noqa: BLE001 - what is committed is committed, whatever a listener makes of it
            _log.exception("a listener of the shared queue failed")
