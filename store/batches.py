"""The contract of batches: many jobs that enter in one commit, and what became of them.

Owns the records and the verbs; which prompts a batch is made of is ``intake``'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from ..jobs.model import Job, JobStatus, JsonObject, NewBatch, NewJob

__all__ = ["Batch", "BatchStore", "NewBatch"]


@dataclass(frozen=True, slots=True)
class Batch:
    """A stored batch and how its jobs stand now; those that were pruned are in ``count`` alone."""

    id: str
    principal: str
    created_at_s: float
    count: int
    about: JsonObject
    statuses: Mapping[JobStatus, int]


class BatchStore(Protocol):
    """The verbs; what holds for all verbs of ``JobStore`` holds for them."""

    def enqueue_all(self, batch: NewBatch | None, jobs: Sequence[NewJob]) -> Future[tuple[Job, ...]]:
        """Store all jobs, and the batch that they name in their ``slot``, in one commit, or none of them.

        ``Conflict`` if an id is known or a request key stands for a job already; the key of the first job is the batch's.
        """
        ...

    def batch(self, batch_id: str) -> Future[Batch | None]:
        """One batch, or None when it is unknown or all of its jobs were pruned."""
        ...
