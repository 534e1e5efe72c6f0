"""Where a job stands in the line: tags, scores, refunds and the virtual time, as the verbs move them.

Owns how ``jobs.ordering``'s arithmetic is applied to a ledger. Does not own the arithmetic, nor who moves when.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..jobs import ordering
from ..jobs.model import Job
from ..jobs.ordering import OrderPolicy
from .learning import Learning
from .ledger import Ledger


@dataclass(frozen=True, slots=True)
class Spot:
    """A new arrival's place."""

    start_tag: float
    score: float


class Standing:
    """Tags and scores of one ledger."""

    def __init__(self, ledger: Ledger, policy: OrderPolicy, learning: Learning) -> None:
        """Touch nothing yet. What a job is charged is its estimate in the coin of the line (``Learning.worth_s``)."""
        self._ledger = ledger
        self._learning = learning
        self._policy = policy
        self._owed: set[str] = set()

    def arrive(self, job_id: str, principal: str, priority: int, estimated_s: float, *, front: bool) -> Spot:
        """The place of a new arrival, which is charged to its principal."""
        ledger = self._ledger
        virtual_time = self._virtual_time()
        self._refund(principal, virtual_time)
        weight, worth_s = self._policy.weight(principal), self._learning.worth_s(estimated_s)
        tags = ordering.tag(virtual_time, ledger.finish_tags(principal), priority, worth_s, weight)
        # A job put in front counts as started now: with its tag behind the owner's backlog, its claim would move the
        # virtual time past that backlog and every newcomer behind it.
        start_tag = virtual_time if front else tags.start
        score = ordering.score(self._policy, start_tag, priority)
        if front:
            score = ordering.front_score(score, ledger.head_score(but=job_id))
        ledger.set_finish_tag(principal, priority, tags.finish)
        return Spot(start_tag, score)

    def relevel(self, job: Job, priority: int) -> Job:
        """A waiting job at another priority; the new level is charged as for a new arrival."""
        name, virtual_time = job.principal.name, self._virtual_time()
        known, weight = self._ledger.finish_tags(name), self._policy.weight(name)
        worth_s = self._learning.worth_s(job.estimated_s)
        tags = ordering.retag(job.start_tag, virtual_time, known, priority, worth_s, weight)
        charged = ordering.charge(virtual_time, known, priority, tags.finish)
        if charged is not None:
            self._ledger.set_finish_tag(name, priority, charged)
        return self.scored(replace(job, priority=priority, start_tag=tags.start))

    def to_front(self, job: Job) -> Job:
        """A waiting job before the head of the line; a suspect stays behind all others."""
        start_tag = min(job.start_tag, self._virtual_time())
        score = ordering.front_score(job.score, self._ledger.head_score(but=job.id))
        return self.behind_if_suspect(replace(job, start_tag=start_tag, score=score))

    def scored(self, job: Job) -> Job:
        """A job with the score of its tag and priority."""
        score = ordering.score(self._policy, job.start_tag, job.priority)
        return self.behind_if_suspect(replace(job, score=score))

    def shift_to_now(self, start_tag: float) -> float:
        """How far a tag of another queue is from this one's virtual time."""
        return self._virtual_time() - start_tag

    def moved(self, job: Job, shift_s: float) -> Job:
        """A waiting job of another queue with the same policy, its tag shifted and charged to its principal; a front stays one."""
        name, ledger = job.principal.name, self._ledger
        virtual_time, weight = self._virtual_time(), self._policy.weight(name)
        ahead_s = 0.0 if job.suspect else job.score - ordering.score(self._policy, job.start_tag, job.priority)
        job = self.scored(replace(job, start_tag=job.start_tag + shift_s))
        finish = ordering.finish_tag(job.start_tag, self._learning.worth_s(job.estimated_s), weight)
        charged = ordering.charge(virtual_time, ledger.finish_tags(name), job.priority, finish)
        if charged is not None:
            ledger.set_finish_tag(name, job.priority, charged)
        return job if job.suspect else replace(job, score=job.score + ahead_s)

    @staticmethod
    def behind_if_suspect(job: Job) -> Job:
        """The job with its score, but for a suspect of the poison rule."""
        return replace(job, score=ordering.SUSPECT_SCORE) if job.suspect else job

    def claimed(self, job: Job) -> None:
        """A job was taken to run: the virtual time moves on."""
        ledger = self._ledger
        ledger.set_virtual_time(ordering.virtual_time_at_claim(ledger.virtual_time(), job.start_tag))

    def owe(self, job: Job) -> None:
        """A job ended while it waited, so its work was never done: give it back at the principal's next arrival.

        Owed in memory only: a restart in between costs a principal this, nothing else.
        """
        name = job.principal.name
        if name not in self._owed:
            self._owed.add(name)
            self._ledger.on_undo(lambda: self._owed.discard(name))

    def rescore(self) -> None:
        """Score every unfinished job by this policy: for a storage that was written under another. A front is forgotten."""
        for job in [*self._ledger.queued(), *self._ledger.on_machine()]:
            self._ledger.save(self.scored(job))

    def _virtual_time(self) -> float:
        """The virtual time for a new tag; moved on first when nothing waits or runs."""
        virtual_time = self._ledger.virtual_time()
        if not self._ledger.idle():
            return virtual_time
        moved = ordering.virtual_time_when_idle(virtual_time, self._ledger.largest_finish_tag())
        if moved != virtual_time:
            self._ledger.set_virtual_time(moved)
        return moved

    def _refund(self, principal: str, virtual_time: float) -> None:
        """Take back what was charged for jobs that ended while they waited, once for all of them; what remains keeps its
        place, and the arrival stands behind it."""
        if principal not in self._owed:
            return
        self._owed.discard(principal)
        self._ledger.on_undo(lambda: self._owed.add(principal))
        weight = self._policy.weight(principal)
        left: dict[int, float] = {}
        for job in self._ledger.of_principal(principal):
            finish = ordering.finish_tag(job.start_tag, self._learning.worth_s(job.estimated_s), weight)
            left[job.priority] = max(finish, left.get(job.priority, finish))
        for level, charged in list(self._ledger.finish_tags(principal).items()):
            kept = left.get(level, virtual_time)
            if kept < charged:
                self._ledger.set_finish_tag(principal, level, kept)
