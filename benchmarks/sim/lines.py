"""The lines that are compared: first in first out, and ours, which is the real verbs on the real ledger in memory.

Owns how a line is driven. The order is `jobs/ordering.py` by way of `store/verbs.py`, as in a server; only the clock and the
machine are made up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Protocol

from benchmarks.sim.bound import BoundWitness, Overtaken
from benchmarks.sim.workload import Arrival
from expeditor.jobs.affinity import AffinityPolicy
from expeditor.jobs.estimate import warm
from expeditor.jobs.model import Ending, JobStatus, NewJob, Payload, Principal, Source
from expeditor.jobs.ordering import OrderPolicy
from expeditor.store.memory import MemoryLedger
from expeditor.store.verbs import Verbs

_PAYLOAD = Payload("{}", "{}", "[]")


class Line(Protocol):
    """Where jobs wait. A job is named by its number in the trace; times are those of the run."""

    def arrive(self, number: int, arrival: Arrival) -> None:
        """A job comes in, at its own time."""
        ...

    def take(self, now_s: float, resident: AbstractSet[str]) -> int | None:
        """The next job, from now on running; None when nothing waits."""
        ...

    def ended(self, number: int, now_s: float, run_s: float) -> None:
        """The job that was taken last is done; ``run_s`` counts the loading of its model."""
        ...


class FifoLine:
    """As stock ComfyUI."""

    def __init__(self) -> None:
        """Empty."""
        self._waiting: deque[int] = deque()

    def arrive(self, number: int, arrival: Arrival) -> None:  # noqa: ARG002 - the protocol's
        """See ``Line``."""
        self._waiting.append(number)

    def take(self, now_s: float, resident: AbstractSet[str]) -> int | None:  # noqa: ARG002 - the protocol's
        """See ``Line``."""
        return self._waiting.popleft() if self._waiting else None

    def ended(self, number: int, now_s: float, run_s: float) -> None:
        """See ``Line``."""


class OurLine:
    """Expeditor's queue. Raises ``BoundBroken`` when the order breaks its promise; strict mode makes none."""

    def __init__(
        self,
        policy: OrderPolicy,
        slack_s: float = AffinityPolicy().slack_s,
        known_run_s: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """``slack_s``: the affinity's, 0 turns it off. ``known_run_s``: what earlier runs taught, by kind; nothing on a new server."""
        self._ledger = MemoryLedger()
        self._ledger.set_mean_run_s(known_run_s.items(), 0.0)
        affinity = AffinityPolicy(slack_s, policy.strict)
        self._verbs = Verbs(self._ledger, policy, lambda: self._now_s, "simulated", affinity)
        self._witness = None if policy.strict else BoundWitness(policy, slack_s)
        self._policy = policy
        self._now_s = 0.0
        self._attempts: dict[int, int] = {}
        self.overtaken: dict[int, Overtaken] = {}

    def arrive(self, number: int, arrival: Arrival) -> None:
        """See ``Line``."""
        self._now_s = arrival.at_s
        new = NewJob(
            id=str(number),
            principal=Principal(arrival.principal),
            priority=arrival.priority,
            source=Source.SUBMIT,
            created_at_s=arrival.at_s,
            number=number,
            payload=_PAYLOAD,
            signature=arrival.kind,
            models=(arrival.model,),
        )
        job = self._verbs.enqueue(new).value
        if self._witness is not None:
            finish = self._ledger.finish_tags(arrival.principal)[arrival.priority]
            charged_s = (finish - job.start_tag) * self._policy.weight(arrival.principal)
            self._witness.arrived(job, self._ledger.virtual_time(), charged_s)

    def take(self, now_s: float, resident: AbstractSet[str]) -> int | None:
        """See ``Line``."""
        self._now_s = now_s
        claim = self._verbs.claim(resident).value
        if claim is None:
            return None
        number = int(claim.job.id)
        self._attempts[number] = claim.attempt
        if self._witness is not None:
            warm_s = self._ledger.mean_run_s(warm(claim.job.signature))
            self.overtaken[number] = self._witness.claimed(claim.job, self._ledger.virtual_time(), warm_s)
        return number

    def ended(self, number: int, now_s: float, run_s: float) -> None:
        """See ``Line``."""
        self._now_s = now_s
        self._verbs.finish(str(number), self._attempts.pop(number), Ending(JobStatus.SUCCEEDED, now_s, run_s))
