"""The writing verbs of jobs that change their store: adopt and let go.

Owns what each does to a ledger and which events it yields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..jobs import transitions
from ..jobs.errors import InputInvalid
from ..jobs.events import JobEvent
from ..jobs.model import Job, JobStatus, Payload
from .done import Done
from .due import DueTimes
from .ledger import Ledger
from .moving import Adopted, Carried
from .standing import Standing


class Carrying:
    """See the module's docstring."""

    def __init__(self, ledger: Ledger, standing: Standing, times: DueTimes) -> None:
        """Touch nothing yet."""
        self._ledger = ledger
        self._standing = standing
        self._times = times

    def adopt(self, jobs: Sequence[Carried], shift_s: float | None) -> Done[Adopted]:
        """See ``MovingStore.adopt``."""
        for carried in jobs:
            if carried.job.status is not JobStatus.QUEUED:
                raise InputInvalid(f"Job {carried.job.id} is {carried.job.status.value} and does not wait.")
        now_s = self._times.now_s()
        if shift_s is None:
            shift_s = self._standing.shift_to_now(min((carried.job.start_tag for carried in jobs), default=0.0))
        unknown = {carried.job.id: carried for carried in jobs if self._ledger.job(carried.job.id) is None}
        adopted = [self._take_in(carried, shift_s, now_s) for carried in unknown.values()]
        return Done(Adopted(tuple(unknown), shift_s), tuple(JobEvent.of(job, now_s) for job in adopted))

    def let_go(self, job_ids: Sequence[str]) -> Done[tuple[str, ...]]:
        """See ``MovingStore.let_go``."""
        now_s = self._times.now_s()
        found = (self._ledger.job(job_id) for job_id in dict.fromkeys(job_ids))
        waiting = [job for job in found if job is not None and job.status is JobStatus.QUEUED]
        for job in waiting:
            gone, _ = transitions.withdraw(replace(job, held=False), now_s)
            self._ledger.save(gone)
            self._ledger.prune(gone, now_s)
            self._standing.owe(gone)
        return Done(tuple(job.id for job in waiting))

    def _take_in(self, carried: Carried, shift_s: float, now_s: float) -> Job:
        ledger, batch, key = self._ledger, carried.batch, carried.key
        job = self._standing.moved(replace(carried.job, seq=ledger.next_seq()), shift_s)
        if batch is not None and not ledger.has_batch(batch.id):
            ledger.add_batch(batch)
        self._add(job, carried.payload)
        # A key that stands for another job here goes on doing so.
        if key is not None and ledger.keyed(key.principal, key.key) is None and key.created_at_s <= now_s:
            ledger.set_key(key)
        return job

    def _add(self, job: Job, payload: Payload) -> None:
        """Attempts one by one: a ledger may look at the last ones alone."""
        self._ledger.add(replace(job, attempts=job.attempts[:1]), payload)
        for count in range(2, len(job.attempts) + 1):
            self._ledger.save(replace(job, attempts=job.attempts[:count]))
