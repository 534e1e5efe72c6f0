"""What other instances do to the queue that a store shares with them, told to whom it concerns in this one.

Owns who hears what: those who keep this process's picture of the queue and those who tell clients hear everything; metrics and log
lines count where a thing was done, so they hear nothing of it here; webhooks are filled by the instance where a job was submitted.
Made before the store and joined after. Does not own what each does with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..jobs.events import JobEvent, Publisher
from ..jobs.instances import instance_of
from ..jobs.model import Job, JobStatus

Hearer = Publisher
"""Somebody who hears what others committed."""

log = logging.getLogger("expeditor.runtime")


class Machine(Protocol):
    """What runs here; ``dispatch.runs.RunTable`` fits."""

    def interrupt(self, job_id: str, attempt: int) -> None:
        """Stop an attempt, now or at its first sign of life; nothing happens to one that is over."""
        ...


@dataclass(frozen=True, slots=True)
class Concerned:
    """Whom it concerns. ``hearers`` hear committed events, in this order; ``missed`` are told after which position some were not heard,
    and look into the store; ``wake`` has the worker look for work; ``lost`` hears of an attempt that is not this instance's any more.
    """

    machine: Machine
    hearers: tuple[Hearer, ...] = ()
    missed: tuple[Callable[[int], None], ...] = ()
    wake: Callable[[], None] = lambda: None
    lost: tuple[Callable[[str, int], None], ...] = ()


class Neighbourhood:
    """Fits ``store.listeners.Neighbours``. Deaf until ``join``; never raises."""

    def __init__(self, name: str) -> None:
        """``name``: this instance's, as ``jobs.instances`` has it."""
        self.name = name
        self._concerned: Concerned | None = None

    def join(self, concerned: Concerned) -> None:
        """From now on these are told."""
        self._concerned = concerned

    def heard(self, events: tuple[JobEvent, ...]) -> None:
        """See ``Neighbours``."""
        concerned = self._concerned
        if concerned is None:
            return
        for hearer in concerned.hearers:
            self._safely(lambda hearer=hearer: hearer.publish(events))
        for event in events:
            if event.job.status is JobStatus.CANCELING and self._runs_here(event.job):
                self._stop(concerned, event.job.id, event.job.attempt)

    def missed(self, after: int, until: int) -> None:  # noqa: ARG002 - whoever is told looks into the store for what there is now
        """See ``Neighbours``."""
        for look in self._concerned.missed if self._concerned else ():
            self._safely(lambda look=look: look(after))

    def waiting(self) -> None:
        """See ``Neighbours``."""
        if self._concerned is not None:
            self._safely(self._concerned.wake)

    def lease_lost(self, job_id: str, attempt: int) -> None:
        """See ``Neighbours``."""
        concerned = self._concerned
        if concerned is None:
            return
        for hearer in concerned.lost:
            self._safely(lambda hearer=hearer: hearer(job_id, attempt))
        self._stop(concerned, job_id, attempt)

    def _runs_here(self, job: Job) -> bool:
        return bool(job.attempts) and instance_of(job.attempts[-1].boot_id) == self.name

    def _stop(self, concerned: Concerned, job_id: str, attempt: int) -> None:
        self._safely(lambda: concerned.machine.interrupt(job_id, attempt))

    def _safely(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception:  # noqa: BLE001 - one listener must keep neither the others nor the store from going on
            log.warning("A listener to other instances failed", exc_info=True, extra={"event": "neighbours.failed"})
