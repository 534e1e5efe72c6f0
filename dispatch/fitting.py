"""Jobs that this machine cannot run: claimed all the same, for nobody could know before, they go back at once and are passed over.

Owns which jobs these are, for as long as what this machine and the others can run stays the same, and that one which could not be given
back yet is given back before anything else is claimed. Does not own what a machine can run (``ports.Abilities``) nor what giving
back means (``store``). Used by the worker thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from ..jobs.errors import Conflict, NotFound, StoreUnavailable
from ..jobs.model import Claim, Job
from ..store.base import UNFIT_MAX, JobStore
from .ports import Abilities

log = logging.getLogger("expeditor.dispatch")

IN_A_ROW = 16
"""The most jobs that are given back in one claim: after them the worker rests for a moment."""


@dataclass(slots=True)
class _Misfit:
    """A claim to give back; ``asked``: the store was asked already."""

    claim: Claim
    asked: Future[Job] | None = None


class Fitting:
    """See the module's docstring."""

    def __init__(self, store: JobStore, abilities: Abilities | None) -> None:
        """Without ``abilities`` every job fits."""
        self._store = store
        self._abilities = abilities
        self._mark = ""
        self._unfit: dict[str, None] = {}  # in the order in which they were found
        self._owed: _Misfit | None = None

    def __bool__(self) -> bool:
        """Whether a job is still to be given back."""
        return self._owed is not None

    def unfit(self) -> frozenset[str]:
        """Jobs to pass over, by id."""
        mark = "" if self._abilities is None else self._abilities.mark
        if mark != self._mark:
            self._mark = mark
            self._unfit.clear()
        return frozenset(self._unfit)

    def fits(self, claim: Claim, node_classes: frozenset[str]) -> bool:
        """Whether this machine can run what it claimed; if not, ``give_back`` is to be called."""
        if self._abilities is None:
            return True
        missing = self._abilities.missing(node_classes, frozenset(claim.job.models))
        if not missing:
            return True
        told = ", ".join(sorted(missing)[:3])
        extra = {"event": "claim.unfit", "job_id": claim.job.id}
        log.info("A job needs what is not here (%s): it goes back to the queue", told, extra=extra)
        self._owed = _Misfit(claim)
        self._unfit.pop(claim.job.id, None)
        self._unfit[claim.job.id] = None
        while len(self._unfit) > UNFIT_MAX:
            self._unfit.pop(next(iter(self._unfit)))
        return False

    def give_back(self, wait_done: Callable[[Future[Any]], None]) -> None:
        """Give back what is owed, if anything; ``wait_done`` bounds the wait. Raises ``StoreUnavailable``: to be tried again."""
        owed = self._owed
        if owed is None:
            return
        owed.asked = owed.asked or self._store.give_back(owed.claim.job.id, owed.claim.attempt)
        wait_done(owed.asked)
        asked, owed.asked = owed.asked, None
        try:
            asked.result()
        except StoreUnavailable:
            raise
        except (Conflict, NotFound) as error:
            log.info("A job that was to go back is not this instance's any more: %s", error.message)
        self._owed = None
