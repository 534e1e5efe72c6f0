"""What the queue's verbs need of a place that keeps rows: the seam between the verbs and a storage.

Owns the protocol alone. A ledger stores and finds; it decides nothing: statuses come from ``jobs.transitions``, the
order from ``jobs.ordering``, both by way of the verbs. It is used by one thread at a time.

*Claimable* is a queued or parked job (``Job.in_line``) that is neither held nor delayed; *delayed* is one whose ``not_before_s`` is after
the latest ``promote``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple, Protocol

from ..jobs.estimate import DEFAULT_ESTIMATE_S
from ..jobs.events import JobEvent, LoggedEvent
from ..jobs.leftovers import FileName
from ..jobs.log import LogQuery
from ..jobs.model import Job, JobStatus, NewJob, Payload
from .base import Finished
from .batches import Batch, NewBatch
from .records import Ahead, DepthRow, EstimateBasis, JobQuery, Place, StoredKey

ALL_SIGNATURES = ""
"""The signature under which the mean of all runs is kept."""


class Aside(NamedTuple):
    """How many queued jobs cannot be claimed, by why."""

    held: int
    delayed: int


class Means(Protocol):
    """What runs have taught."""

    def mean_run_s(self, signature: str) -> float | None:
        """The learned mean of a signature, or None."""
        ...


class KnownRows(Means, Protocol):
    """Finding one row."""

    def job(self, job_id: str) -> Job | None:
        """One job with its attempts, or None."""
        ...

    def payload(self, job_id: str) -> Payload | None:
        """What a job runs, or None."""
        ...

    def keyed(self, principal: str, key: str) -> StoredKey | None:
        """A request key, however old, or None."""
        ...

    def was_pruned(self, job_id: str) -> bool:
        """Whether a job, or a batch, of this id was pruned and is remembered."""
        ...

    def paused(self) -> bool:
        """Whether nothing may be claimed."""
        ...


class ReadLedger(KnownRows, Protocol):
    """Finding rows."""

    def newest(self, query: JobQuery, before_seq: int | None, limit: int) -> list[Job]:
        """At most ``limit`` jobs by descending ``seq``, all below ``before_seq``, by the filters of ``query``."""
        ...

    def maker(self, asset_id: str) -> Job | None:
        """The job that has, or had, the output of this id as an asset; None also for a job that was pruned."""
        ...

    def depth(self) -> list[DepthRow]:
        """Unfinished jobs by principal, priority and status, sorted by these."""
        ...

    def oldest_queued_at_s(self) -> float | None:
        """When the claimable job that waits longest was queued."""
        ...

    def aside(self) -> Aside:
        """How many queued jobs are not claimable."""
        ...

    def places(self, job_ids: Sequence[str]) -> dict[str, Place]:
        """Where claimable jobs stand by ``ordering.sort_key``; without those that are not claimable."""
        ...

    def ahead(self, job_id: str) -> Ahead | None:
        """Who stands before a claimable job; None for any other."""
        ...

    def ended_before(
        self, status: JobStatus, before_s: float, limit: int, spared: AbstractSet[str] = frozenset()
    ) -> list[Job]:
        """At most ``limit`` jobs that ended in ``status`` before ``before_s``, by their end and ``seq``;
        none whose origin is ``spared``."""
        ...

    def ended_beyond(
        self, status: JobStatus, count: int, limit: int, spared: AbstractSet[str] = frozenset()
    ) -> list[Job]:
        """The same of those that are not the ``count`` that ended last."""
        ...

    def batch(self, batch_id: str) -> Batch | None:
        """A batch with its jobs by status, or None."""
        ...

    def last_seq(self) -> int:
        """The ``seq`` of the newest job there ever was; 0 before the first."""
        ...

    def request_keys_of(self, job_ids: AbstractSet[str]) -> list[StoredKey]:
        """The request keys that stand for these jobs, in no order; need not be quick."""
        ...

    def named(
        self,
        outputs: AbstractSet[FileName],
        texts: AbstractSet[str],
        but: AbstractSet[str],
        after_seq: int,
        up_to_seq: int,
    ) -> tuple[frozenset[FileName], frozenset[str]]:
        """Those of ``outputs`` that jobs of these ``seq`` made and those of ``texts`` that their prompts hold, but for the jobs ``but``."""
        ...

    def finished(self, limit: int, home: str | None = None) -> list[Finished]:
        """The ``limit`` jobs that ended last and have a history, by their end and ``seq``; with ``home`` those whose home it is."""
        ...

    def history(self, job_id: str) -> str | None:
        """What ``set_history`` kept of a job; None if it has none."""
        ...

    def events(self, query: LogQuery, limit: int) -> list[LoggedEvent]:
        """The first ``limit`` events after the query's position, by the most telling of its filters."""
        ...

    def last_position(self) -> int:
        """The position of the newest event there ever was; 0 before the first."""
        ...

    def forgotten_position(self) -> int:
        """The largest position that was forgotten; 0 when none was."""
        ...


class Ledger(KnownRows, Protocol):
    """Finding and changing rows; all changes of one verb are kept or none."""

    def next_seq(self) -> int:
        """The ``seq`` of the next new job: larger than that of any job before it."""
        ...

    def known_ids(self, job_ids: AbstractSet[str]) -> AbstractSet[str]:
        """Which of these ids a job has or had, one that was pruned included."""
        ...

    def has_batch(self, batch_id: str) -> bool:
        """Whether there is a batch of this id."""
        ...

    def require_room(self, new_jobs: Sequence[NewJob]) -> None:
        """Refuse jobs of one principal for which there is no room; where the storage is one process's own, that is known before."""
        ...

    def add(self, job: Job, payload: Payload) -> None:
        """Store a new job, which has ``next_seq`` as its ``seq``."""
        ...

    def add_batch(self, batch: NewBatch) -> None:
        """Store a new batch; its jobs are added in the same verb."""
        ...

    def save(self, job: Job) -> None:
        """Replace a stored job; of its attempts only the last two may differ from what is stored, or the last one is taken away."""
        ...

    def log(self, events: tuple[JobEvent, ...]) -> tuple[JobEvent, ...]:
        """Keep the events of one verb, whose jobs are saved, each at the next position and with its job's next number. Of a
        job the newest ``jobs.log.EVENTS_PER_JOB`` stay."""
        ...

    def set_history(self, job: Job, history_json: str | None) -> None:
        """Keep what ComfyUI's history holds of a job. Empty: the job is in it, but its entry was not kept; None: it is not."""
        ...

    def set_key(self, key: StoredKey) -> None:
        """Keep a request key of a job that is added in the same verb, in place of one that was there."""
        ...

    def first(self, limit: int) -> list[Job]:
        """The first claimable jobs, by ``ordering.sort_key``."""
        ...

    def head_score(self, but: str) -> float | None:
        """The score of the first claimable job other than ``but``."""
        ...

    def promote(self, now_s: float) -> bool:
        """It is ``now_s`` (never earlier than said before): whether a delayed or parked job became claimable."""
        ...

    def expired(self, now_s: float) -> list[Job]:
        """Every queued job whose ``expires_at_s`` has come, by that and ``seq``."""
        ...

    def queued(self) -> list[Job]:
        """Every queued or parked job, held and delayed ones too, by ``ordering.sort_key``."""
        ...

    def payloads_come(self, jobs: Sequence[Job]) -> None:
        """The payloads of these jobs will be asked for next, in this order."""
        ...

    def on_machine(self) -> list[Job]:
        """Every job that neither stands in the line (``Job.in_line``) nor has ended, by ``seq``."""
        ...

    def abandoned(self) -> list[Job]:
        """Every job on a machine whose lease was lost, by ``seq``; none where the storage is one process's own."""
        ...

    def of_principal(self, principal: str) -> list[Job]:
        """A principal's jobs that have not ended, in no order."""
        ...

    def waits(self, job_id: str) -> bool:
        """Whether a job is queued or parked."""
        ...

    def idle(self) -> bool:
        """Whether every job has ended."""
        ...

    def ended(self, job_ids: Sequence[str]) -> list[Job]:
        """Those of these jobs that have ended."""
        ...

    def prune(self, job: Job, at_s: float) -> None:
        """Remove a job that has ended and all that belongs to it, but for its request key and the fact that it was pruned.

        A batch goes with the last of its jobs, and is remembered as pruned too.
        """
        ...

    def forget(self, keys_before_s: float, pruned_before_s: float, means_max: int) -> None:
        """Remove request keys made and pruned ids pruned before these times, and but for ``means_max`` (and that of all
        runs) the means that were learned longest ago."""
        ...

    def forget_history(self, job_ids: Sequence[str] | None) -> None:
        """Keep no history of these jobs any more, known or not; None: of no job that has one now."""
        ...

    def set_paused(self, paused: bool) -> None:
        """Keep whether nothing may be claimed."""
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

    def finish_tags(self, principal: str) -> Mapping[int, float]:
        """The principal's last finish tag per priority."""
        ...

    def largest_finish_tag(self) -> float | None:
        """Of all principals; None when there is no tag."""
        ...

    def set_finish_tag(self, principal: str, priority: int, finish: float) -> None:
        """Keep the last finish tag of a principal at a priority."""
        ...

    def set_mean_run_s(self, means: Iterable[tuple[str, float]], at_s: float) -> None:
        """Keep means, as pairs of signature and seconds, learned at ``at_s``."""
        ...

    def on_undo(self, take_back: Callable[[], object]) -> None:
        """Call ``take_back`` if what this verb does is taken back: for what a verb remembers outside of the ledger."""
        ...


def estimate_s(means: Means, signature: str) -> float:
    """The estimate of ``JobStore.estimate``."""
    return _estimate(means, signature)[0]


def basis(means: Means, signature: str) -> EstimateBasis:
    """The answer of ``JobStore.basis``."""
    return _estimate(means, signature)[1]


def _estimate(means: Means, signature: str) -> tuple[float, EstimateBasis]:
    own = means.mean_run_s(signature) if signature != ALL_SIGNATURES else None
    if own is not None:
        return own, EstimateBasis.SAME_WORKFLOW
    overall = means.mean_run_s(ALL_SIGNATURES)
    if overall is not None:
        return overall, EstimateBasis.ALL_WORKFLOWS
    return DEFAULT_ESTIMATE_S, EstimateBasis.DEFAULT
