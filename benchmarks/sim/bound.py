"""The witness of the waiting bound: watches every arrival and claim and raises when a promise of the order is broken.

Three promises (DESIGN 5, `jobs/ordering.py`, `jobs/affinity.py`):

* Once the virtual time has reached a job's bound, the order lets no later arrival overtake it.
* While a job waits, the order lets later arrivals overtake it by no more work than `allowance_s`, which is known when it
  arrives, but for the longest job of each principal and level. With the work that stood before it this bounds its wait on
  the wall clock. Work is counted as it was charged on arrival.
* Against the order, by affinity, jobs pass it with no more work than `slack_s` in all, as estimated when they pass.
"""

from __future__ import annotations

from dataclasses import dataclass

from expeditor.jobs import ordering
from expeditor.jobs.model import Job
from expeditor.jobs.ordering import OrderPolicy

ROUNDING_S = 1e-6


class BoundBroken(AssertionError):
    """A job waited longer than the order promises."""


@dataclass(slots=True)
class _Waiting:
    job: Job
    charged_s: float
    virtual_time: float  # when it arrived
    safe_from: int | None = None  # the last arrival when the virtual time reached its bound
    overtaken_s: float = 0.0
    passed_over_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Overtaken:
    """By how much charged work the order let later arrivals overtake a job, and by how much it may at most."""

    by_s: float
    allowance_s: float


class BoundWitness:
    """Told of everything in the order in which it happens. Weights are taken from the policy."""

    def __init__(self, policy: OrderPolicy, slack_s: float) -> None:
        """``slack_s``: what affinity may cost a job, 0 when it is off."""
        self._policy = policy
        self._slack_s = slack_s
        self._waiting: dict[str, _Waiting] = {}
        self._last_seq = 0
        self._longest_s: dict[tuple[str, int], float] = {}

    def arrived(self, job: Job, virtual_time: float, charged_s: float | None = None) -> None:
        """A job was enqueued and its principal charged, by default its estimate; ``virtual_time`` is that of the queue then."""
        charged_s = max(job.estimated_s if charged_s is None else charged_s, ordering.SHORTEST_S)
        waiting = self._waiting[job.id] = _Waiting(job, charged_s, virtual_time)
        self._last_seq = job.seq
        self._reach(waiting, virtual_time)
        flow = (job.principal.name, job.priority)
        self._longest_s[flow] = max(charged_s, self._longest_s.get(flow, 0.0))

    def claimed(self, job: Job, virtual_time: float, work_s: float | None = None) -> Overtaken:
        """A job was claimed; ``virtual_time`` is that of the queue after it, ``work_s`` what is expected of its run now.

        Raises ``BoundBroken``.
        """
        own = self._waiting.pop(job.id)
        work_s = max(job.estimated_s if work_s is None else work_s, ordering.SHORTEST_S)
        for other in self._waiting.values():
            if _place(job) > _place(other.job):
                self._passes(own, other, work_s)
            elif job.seq > other.job.seq:
                self._overtakes(own, other)
            self._reach(other, virtual_time)
        overtaken = Overtaken(own.overtaken_s, self._allowance_s(own))
        if overtaken.by_s > overtaken.allowance_s + ROUNDING_S:
            raise BoundBroken(
                f"{job.id} was overtaken by {overtaken.by_s:.1f} s, allowed are {overtaken.allowance_s:.1f} s"
            )
        return overtaken

    def _overtakes(self, own: _Waiting, other: _Waiting) -> None:
        other.overtaken_s += own.charged_s
        if other.safe_from is not None and own.job.seq > other.safe_from:
            raise BoundBroken(f"{own.job.id} overtook {other.job.id}, whose bound the virtual time had reached")

    def _passes(self, own: _Waiting, other: _Waiting, work_s: float) -> None:
        other.passed_over_s += work_s
        if other.passed_over_s > self._slack_s + ROUNDING_S:
            raise BoundBroken(f"{own.job.id} passed {other.job.id}, which had been passed over enough")

    def _reach(self, other: _Waiting, virtual_time: float) -> None:
        bound = ordering.overtake_bound(self._policy, other.job.start_tag, other.job.priority)
        if other.safe_from is None and virtual_time >= bound:
            other.safe_from = self._last_seq

    def _allowance_s(self, own: _Waiting) -> float:
        allowed_s = 0.0
        for (principal, level), longest_s in self._longest_s.items():
            # A later arrival of this level has a smaller score only if it starts less than so much after the virtual time.
            head_start_s = self._policy.ageing_s * (level - own.job.priority)
            room_s = own.job.start_tag - own.virtual_time + head_start_s
            if room_s > 0:
                allowed_s += room_s * self._policy.weight(principal) + longest_s
        return allowed_s


def _place(job: Job) -> tuple[float, float, int]:
    return ordering.sort_key(job.score, job.number, job.seq)
