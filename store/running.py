"""The verbs on jobs that run: claim, give back, metadata, finish, retry, rerun, park, and that this process is asked to stop.

Owns what each does to a ledger, fencing by attempt and affinity's memory. A verb raises before its first
change, so that a ledger without transactions is left as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from ..jobs import affinity, transitions
from ..jobs.affinity import AffinityPolicy, InLine
from ..jobs.errors import Conflict
from ..jobs.events import JobEvent
from ..jobs.metadata import joined
from ..jobs.model import Cause, Claim, Ending, Job, JobStatus
from ..jobs.ordering import OrderPolicy
from ..jobs.waits import JobWait
from .arrivals import known
from .base import UNFIT_MAX
from .done import Done
from .due import DueTimes
from .learning import Learning
from .ledger import Ledger
from .standing import Standing

LEFT_MAX = 256
"""How many parked jobs that are left to other instances are passed over at most; behind more of them nothing is looked for."""


class Choosing:
    """Who of the line is next, with ``jobs.affinity``; remembers who was passed over, in memory only."""

    def __init__(
        self, ledger: Ledger, policy: AffinityPolicy, order: OrderPolicy, learning: Learning, here: str | None = None
    ) -> None:
        """Touch nothing yet. ``here``: this instance's name where several share the queue."""
        self._here = here
        self._left_until_s: float | None = None
        self._ledger = ledger
        self._learning = learning
        self._policy = policy
        self._order = order
        self._passed_over_s: dict[str, float] = {}

    def next(self, resident: AbstractSet[str], unfit: AbstractSet[str], now_s: float) -> Job | None:
        """The job to claim, or None when none can be; never one of ``unfit``, nor one that is left to another instance yet."""
        head = next(iter(self._line(1, unfit, now_s)), None)
        if head is None or not resident or self._policy.slack_s <= 0 or resident >= set(head.models):
            return head
        line = self._line(affinity.DEPTH, unfit, now_s)
        seen = [InLine.of(job, self._order, self._learning.warm_s(job)) for job in line]
        choice = affinity.choose(seen, resident, self._passed_over_s, self._policy)
        if choice.passed_over_s:
            self._remember({**self._passed_over_s, **choice.passed_over_s})
        return next(job for job in line if job.id == choice.job_id)

    def take_left_over(self, now_s: float) -> bool:
        """Whether a job that was left to another instance may be claimed here since this was asked last."""
        until_s = self._left_until_s
        if until_s is None or now_s < until_s:
            return False
        self._left_until_s = None
        self._ledger.on_undo(lambda: setattr(self, "_left_until_s", until_s))
        return True

    def _line(self, limit: int, unfit: AbstractSet[str], now_s: float) -> list[Job]:
        """The first ``limit`` claimable jobs that are neither unfit nor left to others."""
        line = self._ledger.first(limit)
        if not any(job.id in unfit or self._is_left(job, now_s) for job in line):
            return line
        longer = self._ledger.first(limit + min(len(unfit), UNFIT_MAX))
        if any(self._is_left(job, now_s) for job in longer):
            longer = self._ledger.first(limit + min(len(unfit), UNFIT_MAX) + LEFT_MAX)
        return [job for job in longer if job.id not in unfit and not self._is_left(job, now_s)][:limit]

    def _is_left(self, job: Job, now_s: float) -> bool:
        until_s = affinity.left_until_s(job, self._here, self._policy)
        if until_s is None or until_s <= now_s:
            return False
        self._left_until_s = until_s if self._left_until_s is None else min(self._left_until_s, until_s)
        return True

    def _remember(self, passed_over_s: dict[str, float]) -> None:
        before = self._passed_over_s
        self._ledger.on_undo(lambda: setattr(self, "_passed_over_s", before))
        self._passed_over_s = {job_id: s for job_id, s in passed_over_s.items() if self._ledger.waits(job_id)}


class Running:
    """See the module's docstring. ``boot_id`` names this process's life in the attempts that it opens."""

    def __init__(
        self,
        ledger: Ledger,
        standing: Standing,
        times: DueTimes,
        choosing: Choosing,
        learning: Learning,
        boot_id: str,
    ) -> None:
        """Touch nothing yet."""
        self._ledger = ledger
        self._learning = learning
        self._standing = standing
        self._times = times
        self._choosing = choosing
        self._boot_id = boot_id

    def claim(
        self, resident: AbstractSet[str] = frozenset(), unfit: AbstractSet[str] = frozenset()
    ) -> Done[Claim | None]:
        """See ``JobStore.claim``. Ends in the same commit what has expired."""
        now_s = self._times.now_s()
        _, expired = self._times.expire(now_s)
        chosen = None if self._ledger.paused() else self._choosing.next(resident, unfit, now_s)
        if chosen is None:
            return Done(None, expired)
        payload = self._ledger.payload(chosen.id)
        assert payload is not None, "a job is stored together with its payload"
        goes_on = chosen.status is JobStatus.WAITING
        job, event = (transitions.resume if goes_on else transitions.start)(chosen, now_s, self._boot_id)
        self._ledger.save(job)
        if goes_on:
            return Done(Claim(job, payload, job.attempt), (*expired, event))
        self._standing.claimed(job)
        self._learning.claimed(job, resident)
        return Done(Claim(job, payload, job.attempt), (*expired, event))

    def give_back(self, job_id: str, attempt: int) -> Done[Job]:
        """See ``JobStore.give_back``."""
        current = self._current(job_id, attempt)
        if current.attempts[-1].boot_id != self._boot_id:
            raise Conflict(
                f"Attempt {attempt} of job {job_id} runs elsewhere; only who claimed it can give it back.",
                details={"job_id": job_id, "status": current.status.value, "attempt": attempt},
            )
        job, event = transitions.give_back(current, self._times.now_s())
        self._ledger.save(job)
        if transitions.is_terminal(job.status):
            self._ledger.set_history(job, "")
        return Done(job, (event,))

    def set_metadata(self, job_id: str, attempt: int, pairs: Mapping[str, str]) -> Done[Job]:
        """See ``JobStore.set_metadata``."""
        current = self._current(job_id, attempt)
        job = replace(current, metadata=joined(current.metadata, pairs))
        self._ledger.save(job)
        return Done(job)

    def finish(self, job_id: str, attempt: int, ending: Ending) -> Done[Job]:
        """See ``JobStore.finish``."""
        job, events = transitions.settle(self._current(job_id, attempt), ending)
        self._save_ended(job, ending)
        if job.status is JobStatus.SUCCEEDED and not job.cached:
            self._learning.ran(job, _run_s(job, ending), self._times.now_s())
        return Done(job, events)

    def retry(self, job_id: str, attempt: int, ending: Ending, not_before_s: float | None) -> Done[Job]:
        """See ``JobStore.retry``."""
        job, events = transitions.retry(self._current(job_id, attempt), ending, not_before_s)
        if job.status is not JobStatus.QUEUED:
            self._save_ended(job, ending)
            return Done(job, events)
        self._times.now_s()
        job = self._standing.behind_if_suspect(job)
        self._ledger.save(job)
        return Done(job, _showing(job, events))

    def rerun(self, job_id: str, attempt: int, ending: Ending) -> Done[Job]:
        """See ``JobStore.rerun``."""
        job, events = transitions.retry(self._current(job_id, attempt), ending, None)
        if job.status is not JobStatus.QUEUED:
            self._save_ended(job, ending)
            return Done(job, events)
        job, started = transitions.start(job, self._times.now_s(), self._boot_id)
        self._ledger.save(job)
        return Done(job, (*events, started))

    def park(self, job_id: str, attempt: int, waits: tuple[JobWait, ...], ending: Ending) -> Done[Job]:
        """See ``JobStore.park``."""
        current = self._current(job_id, attempt)
        if current.status is not JobStatus.RUNNING:
            job, events = transitions.settle(current, ending)
            self._save_ended(job, ending)
            return Done(job, events)
        job, event = transitions.park(current, self._times.now_s(), waits)
        self._ledger.save(job)
        return Done(job, (event,))

    def stopping(self) -> Done[int]:
        """See ``JobStore.stopping``."""
        marked, now_s = 0, self._times.now_s()
        for job in self._ledger.on_machine():
            last = job.attempts[-1]
            if last.outcome is None and last.boot_id == self._boot_id:
                marked += 1
                if last.cause is not Cause.INTERRUPTED:
                    attempts = (*job.attempts[:-1], replace(last, cause=Cause.INTERRUPTED, finished_at_s=now_s))
                    self._ledger.save(replace(job, attempts=attempts))
        return Done(marked)

    def _current(self, job_id: str, attempt: int) -> Job:
        job = known(self._ledger, job_id)
        closed = not job.attempts or job.attempts[-1].outcome is not None or job.status is JobStatus.WAITING
        if closed or job.attempt != attempt:
            raise Conflict(
                f"Attempt {attempt} of job {job_id} is not its current one; its late result is refused.",
                details={"job_id": job_id, "status": job.status.value, "attempt": attempt},
            )
        return job

    def _save_ended(self, job: Job, ending: Ending) -> None:
        self._ledger.save(job)
        self._ledger.set_history(job, ending.history_json or "")


def _run_s(job: Job, ending: Ending) -> float:
    """How long the attempt that has just ended was on a machine; of one that was parked ``ending`` knows the last stretch only."""
    last = job.attempts[-1]
    return ending.finished_at_s - last.started_at_s - last.parked_s if last.parked_s else ending.run_s


def _showing(job: Job, events: tuple[JobEvent, ...]) -> tuple[JobEvent, ...]:
    """The events with the last one's job as it is stored."""
    return (*events[:-1], replace(events[-1], job=job))
