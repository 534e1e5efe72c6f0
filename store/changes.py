"""What a writer has changed in memory and not yet in its storage: the latest of everything, by what it belongs to.

Owns the collection alone. How it gets into a storage is that storage's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from ..jobs.events import JobEvent
from ..jobs.model import Attempt, Job, Payload
from .batches import NewBatch
from .ledger import StoredKey


class Forgetting(NamedTuple):
    """What ``Ledger.forget`` was asked."""

    keys_before_s: float
    pruned_before_s: float
    means_max: int


class Pruned(NamedTuple):
    """A job to prune, and the batch that it belongs to."""

    seq: int
    at_s: float
    batch_id: str | None = None


class Changes:
    """The latest of everything that was changed since the last ``clear``."""

    def __init__(self) -> None:
        """Nothing is changed."""
        self.jobs: dict[str, Job] = {}
        self.payloads: dict[str, Payload] = {}
        self.attempts: dict[tuple[int, int], Attempt | None] = {}  # by the job's seq and number; None: taken away
        self.virtual_time: float | None = None
        self.tags: dict[tuple[str, int], float] = {}
        self.means: dict[str, tuple[float, float]] = {}  # mean, learned at
        self.histories: dict[int, str | None] = {}
        self.keys: dict[tuple[str, str], StoredKey] = {}
        self.paused: bool | None = None
        self.batches: dict[str, NewBatch] = {}
        self.pruned: dict[str, Pruned] = {}
        self.forgetting: Forgetting | None = None
        self.unwanted: list[Sequence[str] | None] = []  # histories to forget, by job id; None: all
        self.events: defaultdict[int, list[JobEvent]] = defaultdict(list)  # by the job's seq, all of them

    def clear(self) -> None:
        """Forget all: it is written, or shall not be."""
        self.jobs.clear()
        self.payloads.clear()
        self.attempts.clear()
        self.tags.clear()
        self.means.clear()
        self.histories.clear()
        self.keys.clear()
        self.batches.clear()
        self.pruned.clear()
        self.unwanted.clear()
        self.events.clear()
        self.virtual_time = self.paused = self.forgetting = None

    def forget_history(self, job_ids: Sequence[str] | None) -> None:
        """Forget histories, written or about to be."""
        seqs = (
            None if job_ids is None else {job.seq for job_id in job_ids if (job := self.jobs.get(job_id)) is not None}
        )
        for seq in self.histories:
            if seqs is None or seq in seqs:
                self.histories[seq] = None
        self.unwanted.append(job_ids)
