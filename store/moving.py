"""The contract of jobs that change their store: what goes with one, and the verbs by which it is copied, taken in and let go.

Owns the records and the verbs; in which order they are asked, so that no job is lost and none runs twice, is ``runtime.moving``'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from ..jobs.model import Job, NewBatch, Payload
from .records import StoredKey


@dataclass(frozen=True, slots=True)
class Carried:
    """A waiting job as it stands, with what it runs, its request key and the batch that it belongs to."""

    job: Job
    payload: Payload
    key: StoredKey | None = None
    batch: NewBatch | None = None


@dataclass(frozen=True, slots=True)
class Adopted:
    """Which jobs are here now that were not; ``shift_s``: how far their tags were moved, for those that come after them."""

    job_ids: tuple[str, ...]
    shift_s: float


class MovingStore(Protocol):
    """The verbs; what holds for all verbs of ``JobStore`` holds for them."""

    def carried(self, job_ids: Sequence[str]) -> Future[tuple[Carried, ...]]:
        """Those of these jobs that wait, in the order of arrival, with all that goes with them. Changes nothing."""
        ...

    def adopt(self, jobs: Sequence[Carried], shift_s: float | None = None) -> Future[Adopted]:
        """Take in waiting jobs of another store, as they stand: with their attempts, holds, times and request keys, ``job.queued`` being
        told of each. One whose id there is a job of here already is left out, so that the verb may be asked again.

        Among each other they keep their order, at the end of what arrived. ``shift_s`` is added to their start tags; None: the
        smallest of them becomes the virtual time. ``InputInvalid`` for a job that does not wait.
        """
        ...

    def let_go(self, job_ids: Sequence[str]) -> Future[tuple[str, ...]]:
        """Forget those of these jobs that wait, and say which: another store has them. No event is told; request keys live on."""
        ...
