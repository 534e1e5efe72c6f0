"""The witness of the waiting bound: watches every arrival and claim and raises when a promise of the order is broken.

Two promises, both in estimated seconds (DESIGN 5 and `jobs/ordering.py`):

* Once the virtual time has reached a job's bound, no later arrival overtakes it (with affinity: by `slack_s` in all).
* While a job waits, later arrivals overtake it by no more work than `allowance_s`, which is known when it arrives, but for
  the longest job of each principal and level. With the work that stood before it this bounds its wait on the wall clock.
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
    virtual_time: float  # when it arrived
    safe_from: int | None = None  # the last arrival when the virtual time reached its bound
    overtaken_s: float = 0.0
    overtaken_late_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Overtaken:
    """By how much estimated work later arrivals overtook a job, and by how much they may have at most."""

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

    def arrived(self, job: Job, virtual_time: float) -> None:
        """A job was enqueued; ``virtual_time`` is that of the queue then."""
        waiting = self._waiting[job.id] = _Waiting(job, virtual_time)
        self._last_seq = job.seq
        self._reach(waiting, virtual_time)
        flow = (job.principal.name, job.priority)
        self._longest_s[flow] = max(job.estimated_s, ordering.SHORTEST_S, self._longest_s.get(flow, 0.0))

    def claimed(self, job: Job, virtual_time: float) -> Overtaken:
        """A job was claimed; ``virtual_time`` is that of the queue after it. Raises ``BoundBroken``."""
        own = self._waiting.pop(job.id)
        for other in self._waiting.values():
            if job.seq > other.job.seq:
                self._overtakes(job, other)
            self._reach(other, virtual_time)
        overtaken = Overtaken(own.overtaken_s, self._allowance_s(own))
        if overtaken.by_s > overtaken.allowance_s + ROUNDING_S:
            raise BoundBroken(
                f"{job.id} was overtaken by {overtaken.by_s:.1f} s, allowed are {overtaken.allowance_s:.1f} s"
            )
        return overtaken

    def _overtakes(self, job: Job, other: _Waiting) -> None:
        work_s = max(job.estimated_s, ordering.SHORTEST_S)
        other.overtaken_s += work_s
        if other.safe_from is None or job.seq <= other.safe_from:
            return
        other.overtaken_late_s += work_s
        if other.overtaken_late_s > self._slack_s + ROUNDING_S:
            raise BoundBroken(f"{job.id} overtook {other.job.id}, whose bound the virtual time had reached")

    def _reach(self, other: _Waiting, virtual_time: float) -> None:
        bound = ordering.overtake_bound(self._policy, other.job.start_tag, other.job.priority)
        if other.safe_from is None and virtual_time >= bound:
            other.safe_from = self._last_seq

    def _allowance_s(self, own: _Waiting) -> float:
        allowed_s = self._slack_s
        for (principal, level), longest_s in self._longest_s.items():
            # A later arrival of this level has a smaller score only if it starts less than so much after the virtual time.
            head_start_s = self._policy.ageing_s * (level - own.job.priority)
            room_s = own.job.start_tag - own.virtual_time + head_start_s
            if room_s > 0:
                allowed_s += room_s * self._policy.weight(principal) + longest_s
        return allowed_s
