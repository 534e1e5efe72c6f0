"""A queue without threads or files, driven step by step: the real verbs on the ledger in memory.

Owns no expectations; an estimate in seconds is chosen per job through its signature.
"""

from __future__ import annotations

from expeditor.jobs.model import Ending, Job, JobStatus, NewJob, Payload, Principal, Source
from expeditor.jobs.ordering import OrderPolicy
from expeditor.store.base import Reprioritise
from expeditor.store.memory import MemoryLedger
from expeditor.store.verbs import Verbs

_PAYLOAD = Payload("{}", "{}", "[]")


class Simulation:
    """Arrivals and claims; virtual seconds are the only time."""

    def __init__(self, policy: OrderPolicy | None = None) -> None:
        self.ledger = MemoryLedger()
        self.verbs = Verbs(self.ledger, policy or OrderPolicy(), lambda: 0.0, "boot")
        self.arrived: list[Job] = []

    @property
    def virtual_time(self) -> float:
        return self.ledger.virtual_time()

    def arrive(self, principal: str = "ada", priority: int = 3, estimated_s: float = 5.0, front: bool = False) -> Job:
        """A new job; ComfyUI's numbers grow, and so do these."""
        number = len(self.arrived)
        signature = repr(estimated_s)
        self.ledger.set_mean_run_s([(signature, estimated_s)], 0.0)
        new = NewJob(
            id=f"j{number}",
            principal=Principal(principal),
            priority=priority,
            source=Source.SUBMIT,
            created_at_s=0.0,
            number=-number if front else number,
            payload=_PAYLOAD,
            front=front,
            signature=signature,
        )
        job = self.verbs.enqueue(new).value
        self.arrived.append(job)
        return job

    def claim(self) -> Job | None:
        """The next job, run to its end; None when nothing waits."""
        claimed = self.verbs.claim().value
        if claimed is None:
            return None
        end = Ending(JobStatus.SUCCEEDED, 0.0, 0.0, cached=True)
        return self.verbs.finish(claimed.job.id, claimed.attempt, end).value

    def drain(self) -> list[Job]:
        """All claims until nothing waits."""
        return list(iter(self.claim, None))

    def reprioritise(self, job: Job, priority: int | None = None, front: bool = False) -> Job:
        return self.verbs.reprioritise(job.id, Reprioritise(priority, front)).value
