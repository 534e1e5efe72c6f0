"""The durable queue's contract, in queue verbs: what every store promises and ``tests/conformance`` holds it to.

Guarantees:

* Verbs may be called from any thread and never wait on disk or network themselves: each returns a
  ``concurrent.futures.Future``. A done future of a writing verb means *committed*: after it, ``kill -9`` loses nothing.
* Verbs take effect one after the other, in the order in which they were called (also across threads).
* A verb that raises has changed nothing. ``StoreUnavailable`` means that nothing was stored (or says that nobody knows: the
  wire to a shared store was cut before its answer came); the store stays usable and the next verb tries again.
* ``claim`` gives every job to one caller only; ``finish`` accepts only the job's current attempt (``Conflict`` otherwise).
* Status changes are made by ``jobs.transitions`` alone; their events go to the ``Publisher`` after the commit, in
  commit order, before the verb's future is done.
* The order of ``claim`` is ``jobs.ordering.sort_key``, but for what model affinity allows (``jobs.affinity``); ``held``
  jobs and those before their ``not_before_s`` are skipped. A suspect of the poison rule stands behind all others, wherever
  it is put.
* All times are the given clock's, which runs steadily (``runtime.clock``): a wall clock that is set changes no order.

Not owned: which jobs may enter (``intake``), when to claim and how to judge a run (``dispatch``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from ..jobs.leftovers import FileName
from ..jobs.model import Cause, Claim, Ending, Job, JobStatus, NewJob, Payload
from ..jobs.transitions import LastSeen
from .batches import BatchStore
from .log import EventLog
from .moving import MovingStore
from .parking import ParkingStore
from .records import Ahead, Crowd, EstimateBasis, JobPage, JobQuery, Place, QueueSummary

Clock = Callable[[], float]
"""Seconds since the epoch."""

Room = Callable[[Crowd, Sequence[NewJob]], None]
"""Raises ``Busy`` when new jobs of one principal have no room beside those that wait. Asked inside a verb: quick, no I/O."""

MAX_DEATHS = 3
"""A job whose process died this often while it ran fails as POISON (DESIGN 8)."""

UNFIT_MAX = 256
"""The most jobs that one ``claim`` passes over because its instance cannot run them."""

NAMING_STEP = 2000
"""How many jobs one ``naming`` looks at: some hundredths of a second, in which no other reading verb runs."""

KEY_LIFE_S = 86_400.0
"""How long a request key is remembered."""


@dataclass(frozen=True, slots=True)
class Reprioritise:
    """A new place for a waiting job: a priority, or the front (then ``priority`` is None)."""

    priority: int | None = None
    front: bool = False


class RecoveryMode(str, Enum):
    """What becomes, at a start, of jobs that an earlier life of this server left behind (DESIGN 8).

    ``RESUME``: run on; what was running runs again. ``RESUME_EXCEPT_RUNNING``: what was running fails and can be re-driven
    by hand. ``PAUSED``: as ``RESUME``, but the queue is paused.
    """

    RESUME = "resume"
    RESUME_EXCEPT_RUNNING = "resume_except_running"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class RecoveryRule:
    """How ``recover`` goes about it. ``seen``: what dead runs left behind, by job id and attempt. ``here``: the
    instance whose jobs are listed with their payloads, where several share the store."""

    mode: RecoveryMode = RecoveryMode.RESUME
    seen: Mapping[tuple[str, int], LastSeen] = field(default_factory=lambda: {})
    here: str | None = None


@dataclass(frozen=True, slots=True)
class Ticked:
    """What ``tick`` did: the jobs that expired, and whether a job can be claimed now that could not be at the last tick."""

    expired: tuple[Job, ...] = ()
    became_due: bool = False


@dataclass(frozen=True, slots=True)
class KeptFor:
    """How long jobs that ended in one status are kept: at most ``age_s`` seconds and the newest ``count``; None: no bound."""

    age_s: float | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """An ended job with all that ComfyUI's history shows of it.

    ``history_json`` is ``Ending.history_json``; empty if there is none: the job never ran, or it was too large to keep.
    """

    job: Job
    payload: Payload
    history_json: str


@dataclass(frozen=True, slots=True)
class Naming:
    """Which files jobs name, as far as was looked; ``next_seq`` is where to go on looking, None at the end."""

    outputs: frozenset[FileName]
    texts: frozenset[str]
    next_seq: int | None


@dataclass(frozen=True, slots=True)
class KeyedJob:
    """Which job a request key stands for."""

    job_id: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """What ``recover`` found: every job that waits now (in claim order, with its payload), and how many came back from a dead run.

    ``elsewhere``: those that were submitted to other instances, which list them; without their payloads."""

    waiting: tuple[tuple[Job, Payload], ...]
    requeued: int
    failed: int
    elsewhere: tuple[Job, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreState:
    """For health: ``kind`` is ``memory``, ``sqlite`` or ``bullmq``; ``error`` is None when the last write worked.

    ``notice``: what people must hear though the store works, for example that it began anew beside a damaged file.
    """

    kind: str
    open: bool
    error: str | None
    pending_writes: int
    notice: str | None = None


class JobStore(BatchStore, EventLog, MovingStore, ParkingStore, Protocol):
    """See the module's docstring for what holds for all verbs, also for those that are inherited."""

    def open(self) -> None:
        """Make the store usable; blocks. Raises ``StoreUnavailable`` when it cannot be opened; may be tried again."""
        ...

    def close(self) -> None:
        """Commit what was asked for and let go of files and threads; blocks; idempotent."""
        ...

    def state(self) -> StoreState:
        """How the store is; no I/O."""
        ...

    def enqueue(self, job: NewJob) -> Future[Job]:
        """Store a job as queued: estimates its time from its signature, tags and scores it.

        ``Conflict`` if the id is known or its request key stands for a job already. The key is stored in the same commit. Where
        several instances share the queue: what ``Room`` raises, by all that waits at the commit, unless the job ``must_enter``.
        """
        ...

    def claim(
        self, resident: AbstractSet[str] = frozenset(), unfit: AbstractSet[str] = frozenset()
    ) -> Future[Claim | None]:
        """Take the next waiting job, open its next attempt and advance the virtual time; None when none can be claimed
        (nothing waits, all is held or delayed, or the queue is paused). A parked job that was answered, or whose time has come, goes on in
        the attempt that it has.

        ``resident``: the model files in memory, for affinity. ``unfit``: jobs, by id, that this instance cannot run: passed over, and
        as many as ``UNFIT_MAX`` at most. A job that has expired is never given out, nor, where
        several share the queue, one that ``needs_secret`` to any instance but the one where it was submitted.
        """
        ...

    def give_back(self, job_id: str, attempt: int) -> Future[Job]:
        """Put a claimed job that this instance cannot run back into its old place, as if it had not been claimed: its attempt is taken
        away, score and waiting time stay (``transitions.give_back``). Told as ``job.queued``; of one that was parked, which is parked again
        in its attempt, as ``job.waiting``.

        A job whose cancel was asked for ends ``canceled``: look at the status. ``NotFound`` for an unknown job; ``Conflict`` when
        ``attempt`` is not its open one, or is another life's.
        """
        ...

    def set_metadata(self, job_id: str, attempt: int, pairs: Mapping[str, str]) -> Future[Job]:
        """Put pairs into the metadata of a job while this attempt runs, in place of what is there under these keys
        (``jobs.metadata.joined``). No event is told. ``NotFound``; ``Conflict`` when ``attempt`` is not the job's open one;
        ``InputInvalid`` for pairs that metadata may not have.
        """
        ...

    def finish(self, job_id: str, attempt: int, ending: Ending) -> Future[Job]:
        """Settle an attempt (``transitions.settle``) and learn its run time if it succeeded.

        ``NotFound`` for an unknown job; ``Conflict`` when ``attempt`` is not the job's open one (late result: refused).
        """
        ...

    def retry(self, job_id: str, attempt: int, ending: Ending, not_before_s: float | None) -> Future[Job]:
        """Close a failed attempt and put the job back with its score (``transitions.retry``), to run from ``not_before_s`` on.

        A job whose cancel was asked for ends ``canceled``: look at the status. Errors as ``finish``.
        """
        ...

    def rerun(self, job_id: str, attempt: int, ending: Ending) -> Future[Job]:
        """Close a failed attempt and open the next one at once, in one commit: the job runs again where it stands.

        A job whose cancel was asked for ends ``canceled``: look at the status. Errors as ``finish``.
        """
        ...

    def cancel(self, job_id: str, cause: Cause = Cause.CANCELED) -> Future[Job]:
        """Ask for cancellation (``transitions.withdraw``); idempotent. ``NotFound`` for an unknown job."""
        ...

    def reprioritise(self, job_id: str, change: Reprioritise) -> Future[Job]:
        """Give a queued job another place. ``NotFound`` if unknown, ``Conflict`` with the status if it does not wait."""
        ...

    def fail_queued(self, job_id: str, ending: Ending) -> Future[Job]:
        """End a *queued* or parked job as failed, without a further attempt (for example ``SECRET_LOST``); ``Conflict`` for any other."""
        ...

    def hold(self, job_id: str, held: bool) -> Future[Job]:
        """Hold a queued job back, or release it; idempotent. ``NotFound``, or ``Conflict`` when it does not wait."""
        ...

    def redrive(self, job_id: str) -> Future[Job]:
        """Put a job that failed, was cancelled or expired back into the queue (``transitions.reopen``), tagged and scored as
        a new arrival. ``NotFound``; ``Conflict`` for a job that is unfinished or succeeded."""
        ...

    def pause(self, paused: bool) -> Future[None]:
        """While paused ``claim`` gives nothing out; survives a restart; idempotent."""
        ...

    def tick(self) -> Future[Ticked]:
        """End waiting jobs whose ``expires_at_s`` has come, take back what runs under a lease that was lost (``transitions.recover``, in a
        shared store), and say whether something became due. Writes only if it must."""
        ...

    def stopping(self) -> Future[int]:
        """This process is asked to stop: mark its open attempts so that its end is no death. How many there were."""
        ...

    def prune(self, job_ids: Sequence[str]) -> Future[int]:
        """Forget ended jobs and all that belongs to them, but for their ids (``was_pruned``) and request keys, which live on to
        the end of their life (``forget``); skips any other. How many."""
        ...

    def forget(self, keys_before_s: float, pruned_before_s: float) -> Future[None]:
        """Forget request keys and ids of pruned jobs that are older than these times."""
        ...

    def forget_history(self, job_ids: Sequence[str] | None = None) -> Future[None]:
        """Forget what is kept for ComfyUI's history of these jobs, or of all that have ended; the jobs stay, but ``finished``
        gives them no more."""
        ...

    def probe(self) -> Future[None]:
        """Write what is there already: fails as any writing verb would, and changes nothing.

        After a failure ``state().error`` stays until a write works again; this is a write for when nobody else writes.
        """
        ...

    def recover(self, rule: RecoveryRule = RecoveryRule()) -> Future[Recovered]:  # noqa: B008 - a frozen value
        """After a start: jobs whose attempt is of another boot are recovered (``transitions.recover``); lists all that wait."""
        ...

    def get(self, job_id: str) -> Future[Job | None]:
        """One job, or None."""
        ...

    def maker(self, asset_id: str) -> Future[Job | None]:
        """The job that made the output which is known under this id as an asset (``jobs.asset_ids``), or None."""
        ...

    def payload(self, job_id: str) -> Future[Payload | None]:
        """What a job runs, or None."""
        ...

    def page(self, query: JobQuery) -> Future[JobPage]:
        """Jobs by filter, newest first. ``InputInvalid`` for a cursor that is not ours."""
        ...

    def place(self, job_id: str) -> Future[Place | None]:
        """Where a claimable job stands; None when it does not wait, is held or delayed."""
        ...

    def places(self, job_ids: Sequence[str]) -> Future[Mapping[str, Place]]:
        """The places of those of these jobs that have one; one look at the line for all."""
        ...

    def ahead(self, job_id: str) -> Future[Ahead | None]:
        """Who stands before a claimable job; None as ``place``."""
        ...

    def keyed(self, principal: str, key: str) -> Future[KeyedJob | None]:
        """The job that a principal's request key stands for, pruned or not; None when there is none or it is older than
        ``KEY_LIFE_S``. Sees every verb that was asked with this key, and need not see any other."""
        ...

    def was_pruned(self, job_id: str) -> Future[bool]:
        """Whether there was a job, or a batch, of this id that was pruned."""
        ...

    def prunable(
        self, kept: Mapping[JobStatus, KeptFor], limit: int, spared: AbstractSet[str] = frozenset()
    ) -> Future[tuple[Job, ...]]:
        """At most ``limit`` ended jobs that are beyond what is kept, oldest first; none that was submitted to one of the instances
        ``spared``, though it counts among those that are kept."""
        ...

    def naming(
        self, outputs: AbstractSet[FileName], texts: AbstractSet[str], but: AbstractSet[str], after_seq: int
    ) -> Future[Naming]:
        """Which of ``outputs`` jobs made, and which of ``texts`` stand in their prompts, looking at ``NAMING_STEP`` jobs in
        the order of arrival from ``after_seq`` on (0 at first), but not at the jobs ``but``."""
        ...

    def finished(self, limit: int, home: str | None = None) -> Future[tuple[Finished, ...]]:
        """The ``limit`` jobs that ended last and whose history was not forgotten, oldest first, for ComfyUI's history. With ``home``
        those that belong to this instance (``belonging.is_home``)."""
        ...

    def history(self, job_id: str) -> Future[Finished | None]:
        """What ComfyUI's history shows of one job that ended; None if it has not, is unknown, or its history was forgotten."""
        ...

    def summary(self) -> Future[QueueSummary]:
        """Depth of the queue by principal, priority and status."""
        ...

    def estimate(self, signature: str) -> Future[float]:
        """Estimated run time in seconds: of this signature, else of all, else ``DEFAULT_ESTIMATE_S``."""
        ...

    def basis(self, signature: str) -> Future[EstimateBasis]:
        """What ``estimate`` rests on now."""
        ...
