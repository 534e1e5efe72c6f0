"""How deep the queue is now, in memory, and the one place where a job gets its place in it or is refused.

Counts every job that waits for the machine (status ``queued`` or ``retrying``) and every job that is on its way to its
commit, so that any number of submits at once cannot pass a limit together. A job's bytes are those of its payload as it is
stored (prompt, extra data, outputs; JSON text in ASCII). Hears committed events, and is told once what waited before the
start. Every call is O(1) but ``restore``, does no I/O and is safe from any thread.

Owns no rule (``admission``) and no wire format. What was accepted once is counted, never refused: recovered and retried jobs,
and those that other packs put into ComfyUI's queue, which cannot be told.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock

from ..jobs.errors import LimitExceeded, QueueFull
from ..jobs.events import JobEvent
from ..jobs.model import Job, JobStatus, NewJob, Payload, Principal
from ..jobs.transitions import is_terminal
from ..store.records import Crowd
from .admission import Limits, Meter, Pace, refuses, retry_after_s, stays_closed, surplus, too_full
from .flow import Flow

WAITING = frozenset({JobStatus.QUEUED, JobStatus.RETRYING})

_JOBS = "max_waiting_jobs"
_BYTES = "max_waiting_bytes"
_OF_PRINCIPAL = "max_waiting_jobs_per_principal"
_UNTRUSTED = "\0untrusted"
"""The one holder of all principals that are only a claim: a header cannot carry this name."""

_Key = tuple[str, str]
"""A limit's setting, and whose share of it: "" for everybody's."""


@dataclass(slots=True)
class _Load:
    """What one job weighs, and whether it counts now."""

    holder: str
    size_bytes: int
    counts: bool = False


class QueueDepth:
    """See the module's docstring. Fits ``jobs.events.Publisher`` and ``host.ports.Depth``."""

    def __init__(self, limits: Limits, pace: Callable[[], Pace], flow: Flow) -> None:
        """``pace`` is asked when a job is refused and when somebody wants to know; a draining ``flow`` lets nothing in."""
        self._limits = limits
        self._pace = pace
        self._flow = flow
        self._lock = Lock()
        self._used: Counter[_Key] = Counter()
        self._closed: set[_Key] = set()
        self._known: dict[str, _Load] = {}  # committed and not ended, by job id
        self._entering: dict[str, deque[_Load]] = {}  # on their way to a commit, by job id

    # -- asking ------------------------------------------------------------------------------------------------------

    def check(self, principal: Principal, jobs: int = 1) -> None:
        """Refuse early what has no chance now; takes no place. Raises ``QueueFull`` or ``Draining``; ``LimitExceeded`` for more
        ``jobs`` than an empty queue would take."""
        self._flow.check()
        self._check_size(jobs, 0)
        with self._lock:
            refused = self._refusing(_holder(principal), 0, jobs)
        if refused is not None:
            raise self._full(*refused)

    def enter(self, job: NewJob, *, refusable: bool) -> Callable[[], None]:
        """Give ``job`` a place before its commit is asked for; call what comes back when that commit is done, either way.

        Raises ``QueueFull``, ``Draining``, or ``LimitExceeded`` for a job that no empty queue would take; then nothing was
        counted.
        A job that is not ``refusable`` is counted whatever the limits say.
        """
        return self._enter((job,), refusable=refusable)

    def enter_all(self, jobs: Sequence[NewJob]) -> Callable[[], None]:
        """As ``enter``, for all jobs of one principal at once: each gets its place or none does."""
        return self._enter(jobs, refusable=True)

    def _enter(self, jobs: Sequence[NewJob], *, refusable: bool) -> Callable[[], None]:
        holder = _holder(jobs[0].principal)
        loads = [(job.id, _Load(holder, job.payload.size_bytes)) for job in jobs]
        size_bytes = sum(load.size_bytes for _, load in loads)
        if refusable:
            self._flow.check()
            self._check_size(len(jobs), size_bytes)
        with self._lock:
            refused = self._refusing(holder, size_bytes, len(jobs)) if refusable else None
            if refused is None:
                for job_id, load in loads:
                    self._count(load)
                    self._entering.setdefault(job_id, deque()).append(load)
        if refused is not None:
            raise self._full(*refused)
        return lambda: self._leave_if_not_committed(loads)

    def _check_size(self, jobs: int, size_bytes: int) -> None:
        """Refuse what no empty queue would take."""
        limits = self._limits
        for name, most, asked, unit in (
            (_JOBS, limits.jobs, jobs, "jobs"),
            (_OF_PRINCIPAL, limits.jobs_per_principal, jobs, "jobs"),
            (_BYTES, limits.size_bytes, size_bytes, "bytes"),
        ):
            if 0 < most < asked:
                what = "The job has" if jobs == 1 else "The batch has"
                message = f"{what} {asked} {unit}; all waiting jobs together may have {most} ({name})."
                raise LimitExceeded(message, details={"limit": name, "most": most}, too_large=True)

    def require_room(self, crowd: Crowd, jobs: Sequence[NewJob]) -> None:
        """Fits ``store.base.Room``: the same limits by what waits in the queue that several instances share, each of which counts what it
        knows. Raises ``QueueFull``; takes no place."""
        holder = _holder(jobs[0].principal)
        of_holder = crowd.of_others if holder == _UNTRUSTED else crowd.of_trusted.get(holder, 0)
        sizes = sum(job.payload.size_bytes for job in jobs)
        for key, used, wanted in (
            ((_JOBS, ""), crowd.jobs, len(jobs)),
            ((_BYTES, ""), crowd.size_bytes, sizes),
            ((_OF_PRINCIPAL, holder), of_holder, len(jobs)),
        ):
            meter = Meter(self._most(key), used, wanted)
            if refuses(meter):
                raise self._full(key, _jobs_to_go(key, meter, crowd.jobs), used)

    def too_full(self) -> str | None:
        """Why the server should get no new work because of what waits, or None."""
        limits = self._limits
        for name, most, unit in ((_JOBS, limits.jobs, "jobs"), (_BYTES, limits.size_bytes, "bytes")):
            used = self._used[name, ""]
            if too_full(used, most, limits.ready_below_ratio):
                return f"queue: {used} of {most} {unit} wait ({name})"
        return None

    def drain_rate(self) -> float:
        """Jobs that ended per second lately, idle time included."""
        return self._pace().jobs_per_s

    # -- hearing -----------------------------------------------------------------------------------------------------

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """Committed events: who waits, who runs, who has ended."""
        with self._lock:
            for event in events:
                self._hear(event.job)

    def restore(self, waiting: Iterable[tuple[Job, Payload]], elsewhere: Iterable[Job] = ()) -> None:
        """What waited before this start, with its exact size; of jobs that were submitted ``elsewhere`` with that of their prompts. Parked
        jobs take no room."""
        sizes = [(job, payload.size_bytes) for job, payload in waiting if job.status in WAITING]
        sizes += [(job, job.prompt_length) for job in elsewhere]
        with self._lock:
            for job, size_bytes in sizes:
                self._forget(job.id)
                load = self._known[job.id] = _Load(_holder(job.principal), size_bytes)
                self._count(load)

    # -- inside, under the lock --------------------------------------------------------------------------------------

    def _hear(self, job: Job) -> None:
        if is_terminal(job.status):
            self._forget(job.id)
            return
        load = self._known.get(job.id)
        if load is None:
            load = self._known[job.id] = self._entered(job) or _Load(_holder(job.principal), job.prompt_length)
        if job.status in WAITING:
            self._count(load)
        else:
            self._release(load)

    def _entered(self, job: Job) -> _Load | None:
        """The place that was taken for this job: it stays counted, from now on as a committed one."""
        queue = self._entering.get(job.id)
        if not queue:
            return None
        load = queue.popleft()
        if not queue:
            del self._entering[job.id]
        return load

    def _leave_if_not_committed(self, loads: Iterable[tuple[str, _Load]]) -> None:
        with self._lock:
            for job_id, load in loads:
                queue = self._entering.get(job_id, deque[_Load]())
                for index, other in enumerate(queue):
                    # By identity: two submits of one id may weigh the same, and only one of them can be committed.
                    if other is load:
                        del queue[index]
                        self._release(load)
                        break
                if not queue:
                    self._entering.pop(job_id, None)

    def _forget(self, job_id: str) -> None:
        load = self._known.pop(job_id, None)
        if load is not None:
            self._release(load)

    def _count(self, load: _Load) -> None:
        if not load.counts:
            load.counts = True
            self._move(load, 1)

    def _release(self, load: _Load) -> None:
        if load.counts:
            load.counts = False
            self._move(load, -1)

    def _move(self, load: _Load, sign: int) -> None:
        for key, amount in (((_JOBS, ""), 1), ((_BYTES, ""), load.size_bytes), ((_OF_PRINCIPAL, load.holder), 1)):
            self._used[key] += sign * amount
            if not self._used[key]:
                del self._used[key]  # principals come and go: what is zero is not kept
            if key in self._closed and not stays_closed(self._used[key], self._most(key)):
                self._closed.discard(key)

    def _most(self, key: _Key) -> int:
        limits = self._limits
        return {_JOBS: limits.jobs, _BYTES: limits.size_bytes, _OF_PRINCIPAL: limits.jobs_per_principal}[key[0]]

    def _refusing(self, holder: str, size_bytes: int, jobs: int) -> tuple[_Key, float, int] | None:
        """The first limit in the way: which, how many jobs must go first, and what is used of it. Closes it if it is full."""
        for key, wanted in (((_JOBS, ""), jobs), ((_BYTES, ""), size_bytes), ((_OF_PRINCIPAL, holder), jobs)):
            used = self._used[key]
            meter = Meter(self._most(key), used, wanted, key in self._closed)
            if not refuses(meter):
                continue
            if stays_closed(used, meter.most):
                self._closed.add(key)
            return key, _jobs_to_go(key, meter, self._used[_JOBS, ""]), used
        return None

    # -- outside the lock --------------------------------------------------------------------------------------------

    def _full(self, key: _Key, jobs: float, used: int) -> QueueFull:
        name, holder = key
        most, wait_s = self._most(key), retry_after_s(jobs, self._pace())
        whose = {"": "", _UNTRUSTED: " of clients without a login"}.get(holder, " of yours")
        unit = "bytes" if name == _BYTES else "jobs"
        return QueueFull(
            f"The queue is full: {used} {unit}{whose} wait, {most} may ({name}). Try again in {wait_s} s.",
            details={"limit": name, "most": most, "used": used},
            retry_after_s=wait_s,
        )


def _jobs_to_go(key: _Key, meter: Meter, waiting: int) -> float:
    """How many of the ``waiting`` jobs must go before there is room."""
    must_go = float(surplus(meter))
    return must_go * waiting / max(meter.used, 1) if key[0] == _BYTES else must_go


def _holder(principal: Principal) -> str:
    return principal.name if principal.trusted else _UNTRUSTED
