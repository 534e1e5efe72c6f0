"""What the queue's verbs need of a place that keeps rows: the seam between ``verbs`` and a storage.

Owns the protocol alone. A ledger stores and finds; it decides nothing: statuses come from ``jobs.transitions``, the
order from ``jobs.ordering``, both by way of ``verbs``. It is used by one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ..jobs.model import Job, JobStatus, Payload
from .base import DepthRow, Place

ALL_SIGNATURES = ""
"""The signature under which the mean of all runs is kept."""


class KnownRows(Protocol):
    """Finding one row."""

    def job(self, job_id: str) -> Job | None:
        """One job with its attempts, or None."""
        ...

    def payload(self, job_id: str) -> Payload | None:
        """What a job runs, or None."""
        ...

    def mean_run_s(self, signature: str) -> float | None:
        """The learned mean of a signature, or None."""
        ...


class ReadLedger(KnownRows, Protocol):
    """Finding rows."""

    def newest(
        self, statuses: tuple[JobStatus, ...], principal: str | None, before_seq: int | None, limit: int
    ) -> list[Job]:
        """At most ``limit`` jobs by descending ``seq``, all below ``before_seq``; an empty filter matches all."""
        ...

    def depth(self) -> list[DepthRow]:
        """Unfinished jobs by principal, priority and status, sorted by these."""
        ...

    def oldest_queued_at_s(self) -> float | None:
        """When the job that waits longest was queued; held ones do not count."""
        ...

    def place(self, job_id: str) -> Place | None:
        """Where a claimable job stands by ``ordering.sort_key``; None for any other."""
        ...


class Ledger(KnownRows, Protocol):
    """Finding and changing rows; all changes of one verb are kept or none."""

    def next_seq(self) -> int:
        """The ``seq`` of the next new job: larger than that of any job before it."""
        ...

    def add(self, job: Job, payload: Payload) -> None:
        """Store a new job, which has ``next_seq`` as its ``seq``."""
        ...

    def save(self, job: Job) -> None:
        """Replace a stored job; of its attempts only the last may differ from what is stored."""
        ...

    def head(self) -> Job | None:
        """The first queued job that is not held, by ``ordering.sort_key``."""
        ...

    def head_score(self, but: str) -> float | None:
        """The score of the first queued, not held job other than ``but``."""
        ...

    def queued(self) -> list[Job]:
        """Every queued job, held ones too, by ``ordering.sort_key``."""
        ...

    def on_machine(self) -> list[Job]:
        """Every job with a run: ``running``, ``waiting`` or ``canceling``, by ``seq``."""
        ...

    def idle(self) -> bool:
        """Whether every job has ended."""
        ...

    def virtual_time(self) -> float:
        """The virtual time; 0 at first."""
        ...

    def set_virtual_time(self, value: float) -> None:
        """Keep the virtual time and forget finish tags that it has reached (they decide nothing any more)."""
        ...

    def touch(self) -> None:
        """Write the virtual time as it is: a change to the storage, none to what it holds."""
        ...

    def finish_tags(self, principal: str) -> dict[int, float]:
        """The principal's last finish tag per priority."""
        ...

    def largest_finish_tag(self) -> float | None:
        """Of all principals; None when there is no tag."""
        ...

    def set_finish_tag(self, principal: str, priority: int, finish: float) -> None:
        """Keep the last finish tag of a principal at a priority."""
        ...

    def set_mean_run_s(self, means: Iterable[tuple[str, float]]) -> None:
        """Keep learned means, as pairs of signature and seconds."""
        ...
