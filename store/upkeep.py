"""The verbs that keep a queue in order: pause, tick, probe, prune, forget, and recovery after a start.

Owns what each does to a ledger and which events it yields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from ..jobs import transitions
from ..jobs.belonging import is_home
from ..jobs.events import JobEvent
from ..jobs.instances import instance_of
from ..jobs.model import Job, JobStatus
from .base import MAX_DEATHS, Recovered, RecoveryMode, RecoveryRule, Ticked
from .done import Done
from .due import DueTimes
from .ledger import Ledger
from .standing import Standing

MEANS_MAX = 10_000
"""How many learned run times ``forget`` leaves."""


class LeftOver(Protocol):
    """Who remembers what was left to other instances; ``running.Choosing`` fits."""

    def take_left_over(self, now_s: float) -> bool:
        """Whether something of it may be claimed here since this was asked last."""
        ...


class Upkeep:
    """See the module's docstring. ``boot_id`` tells this process's attempts from those of earlier ones."""

    def __init__(self, ledger: Ledger, standing: Standing, times: DueTimes, choosing: LeftOver, boot_id: str) -> None:
        """Touch nothing yet."""
        self._choosing = choosing
        self._ledger = ledger
        self._standing = standing
        self._times = times
        self._boot_id = boot_id

    def pause(self, paused: bool) -> Done[None]:
        """See ``JobStore.pause``."""
        if self._ledger.paused() != paused:
            self._ledger.set_paused(paused)
        return Done(None)

    def tick(self) -> Done[Ticked]:
        """See ``JobStore.tick``."""
        now_s = self._times.now_s()
        jobs, events = self._times.expire(now_s)
        left = self._ledger.abandoned()
        _, taken_back = self._settle_left_over(left, now_s, RecoveryRule(), lease_lost=True)
        claimable = (self._times.take_became_due(), self._choosing.take_left_over(now_s), bool(left))
        return Done(Ticked(jobs, any(claimable)), (*events, *taken_back))

    def probe(self) -> Done[None]:
        """See ``JobStore.probe``."""
        self._ledger.touch()
        return Done(None)

    def prune(self, job_ids: Sequence[str]) -> Done[int]:
        """See ``JobStore.prune``."""
        now_s = self._times.now_s()
        jobs = self._ledger.ended(tuple(dict.fromkeys(job_ids)))
        for job in jobs:
            self._ledger.prune(job, now_s)
        return Done(len(jobs))

    def forget(self, keys_before_s: float, pruned_before_s: float) -> Done[None]:
        """See ``JobStore.forget``. Learned run times are kept for the latest ``MEANS_MAX`` signatures."""
        now_s = self._times.now_s()
        self._ledger.forget(min(keys_before_s, now_s), min(pruned_before_s, now_s), MEANS_MAX)
        return Done(None)

    def forget_history(self, job_ids: Sequence[str] | None) -> Done[None]:
        """See ``JobStore.forget_history``."""
        self._ledger.forget_history(job_ids)
        return Done(None)

    def recover(self, rule: RecoveryRule) -> Done[Recovered]:
        """See ``JobStore.recover``."""
        now_s = self._times.now_s()
        if rule.mode is RecoveryMode.PAUSED:
            self.pause(True)
        left = [job for job in self._ledger.on_machine() if self._is_left_over(job)]
        ends, events = self._settle_left_over(left, now_s, rule)
        queued = self._ledger.queued()
        ours = [job for job in queued if is_home(job, rule.here)]
        self._ledger.payloads_come(ours)
        recovered = Recovered(
            waiting=tuple((job, payload) for job in ours if (payload := self._ledger.payload(job.id))),
            elsewhere=tuple(job for job in queued if not is_home(job, rule.here)),
            requeued=ends.count(JobStatus.QUEUED),
            failed=ends.count(JobStatus.FAILED),
        )
        return Done(recovered, events)

    def _settle_left_over(
        self, left: Sequence[Job], now_s: float, rule: RecoveryRule, *, lease_lost: bool = False
    ) -> tuple[list[JobStatus], tuple[JobEvent, ...]]:
        """Recover jobs whose run is dead: how they stand then, and what is told of it."""
        settled = [self._recovered(job, now_s, rule, lease_lost) for job in left]
        for job, _ in settled:
            self._ledger.save(job)
            if transitions.is_terminal(job.status):
                self._ledger.set_history(job, "")
        return [job.status for job, _ in settled], tuple(event for _, events in settled for event in events)

    def _is_left_over(self, job: Job) -> bool:
        # Of instances that share a queue each takes back its own; what others left behind is ``abandoned`` when their lease ends.
        if job.attempts and instance_of(job.attempts[-1].boot_id) != instance_of(self._boot_id):
            return False
        return job.status is JobStatus.RETRYING or not job.attempts or job.attempts[-1].boot_id != self._boot_id

    def _recovered(
        self, job: Job, now_s: float, rule: RecoveryRule, lease_lost: bool
    ) -> tuple[Job, tuple[JobEvent, ...]]:
        rerun = rule.mode is not RecoveryMode.RESUME_EXCEPT_RUNNING
        seen = rule.seen.get((job.id, job.attempt))
        job, events = transitions.recover(job, now_s, MAX_DEATHS, rerun=rerun, seen=seen, lease_lost=lease_lost)
        if job.status is JobStatus.QUEUED:
            job = self._standing.behind_if_suspect(job)
        return job, (*events[:-1], replace(events[-1], job=job))
