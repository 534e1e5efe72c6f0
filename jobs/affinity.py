"""Model affinity: which of the first in line to take next, so that models are loaded less often.

Pure. Owns the rule and its limits; does not know which models are resident (``host``) nor who keeps the line (a store).

Limits: nobody is passed over by work of more than ``slack_s`` in all, whoever stood at the head meanwhile; nobody by a
job whose score is further than ``slack_s`` behind the head's; nobody at all who was put in front by hand. Work is
counted as estimated when it passes: what passes has its models in memory and loads nothing. So are distances within a
priority, which are made of estimates too: those of past runs, which may have had to load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from . import ordering
from .belonging import keeper_of
from .model import PRIORITY_DEFAULT, Job, JobStatus
from .ordering import OrderPolicy

DEPTH = 32
"""How many of the line are looked at."""

KEPT_AT_LEAST_S = 5.0
"""How long at least a parked job that can go on is left to the instance which keeps what its nodes have made; with ``slack_s`` below that,
so long."""


@dataclass(frozen=True, slots=True)
class AffinityPolicy:
    """How far order may give way to models that are resident; 0 turns affinity off.

    With ``strict``, scores are whole priorities instead of seconds, so only jobs of one priority pass each other.
    """

    slack_s: float = 30.0
    strict: bool = False

    @property
    def window(self) -> float:
        """How far behind the head's score a job may stand and still pass."""
        return 0.0 if self.strict else self.slack_s


@dataclass(frozen=True, slots=True)
class InLine:
    """A waiting job as the rule sees it. ``in_front``: put there by hand, so nobody passes it.

    ``estimated_s``: its run with its models in memory, as far as that is known. ``placed_s``: what its place in the line
    counts on, loading included where past runs had to.
    """

    job_id: str
    score: float
    estimated_s: float
    models: frozenset[str]
    in_front: bool = False
    priority: int = PRIORITY_DEFAULT
    placed_s: float = 0.0

    @property
    def stretch(self) -> float:
        """How many seconds of the line a second of its run stands for."""
        return max(1.0, self.placed_s / max(self.estimated_s, ordering.SHORTEST_S))

    @classmethod
    def of(cls, job: Job, order: OrderPolicy, warm_s: float | None = None) -> InLine:
        """A stored job. A score before that of its own tag tells that it was put in front. ``warm_s``: see ``estimate.warm``."""
        in_front = job.score < ordering.score(order, job.start_tag, job.priority)
        estimated_s = job.estimated_s if warm_s is None else warm_s
        return cls(job.id, job.score, estimated_s, frozenset(job.models), in_front, job.priority, job.estimated_s)


@dataclass(frozen=True, slots=True)
class Choice:
    """Who is next, and for each job passed over now by how much work, in seconds, it has been passed over in all."""

    job_id: str
    passed_over_s: Mapping[str, float]


def left_until_s(job: Job, here: str | None, policy: AffinityPolicy) -> float | None:
    """Until when a parked job that can be claimed is left to another instance than ``here``, which keeps what its nodes have made: for as
    long as these had run, within bounds. None: it is not."""
    keeper = keeper_of(job)
    if job.status is not JobStatus.WAITING or job.parked is None or keeper is None or here in (None, keeper):
        return None
    last, parked = job.attempts[-1], job.parked
    ready_at_s = parked.ready_at_s if parked.ready_at_s is not None else job.not_before_s
    if ready_at_s is None:
        return None
    ran_s = (parked.since_s or ready_at_s) - last.started_at_s - last.parked_s
    return ready_at_s + min(policy.slack_s, max(KEPT_AT_LEAST_S, ran_s))


def choose(
    line: Sequence[InLine], resident: AbstractSet[str], passed_over_s: Mapping[str, float], policy: AffinityPolicy
) -> Choice:
    """The head, or the first behind it that has all its models resident and may pass all who stand before it.

    ``line``: the first ``DEPTH`` (or fewer) waiting jobs by ``ordering.sort_key``; at least one. ``passed_over_s``: what
    earlier choices came to, for jobs that still wait; the caller adds each ``Choice``'s and forgets jobs that wait no more.
    A job without models has nothing to load: it neither passes nor is it passed.
    """
    head = line[0]
    if not head.models or head.models <= resident:
        return Choice(head.job_id, {})
    passed: dict[str, float] = {}
    for candidate in line[:DEPTH]:
        if candidate.in_front:
            break
        work_s = max(candidate.estimated_s, ordering.SHORTEST_S)
        near = candidate.score <= head.score + _window(head, candidate, policy)
        fits = near and candidate.models and candidate.models <= resident
        if fits and max(passed.values()) + work_s <= policy.slack_s:
            return Choice(candidate.job_id, {job_id: so_far + work_s for job_id, so_far in passed.items()})
        passed[candidate.job_id] = passed_over_s.get(candidate.job_id, 0.0)
    return Choice(head.job_id, {})


def _window(head: InLine, candidate: InLine, policy: AffinityPolicy) -> float:
    """How far behind the head's score the candidate may stand. Between priorities scores differ by more than estimates."""
    return policy.window * candidate.stretch if candidate.priority == head.priority else policy.window
