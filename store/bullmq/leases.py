"""Keeps the leases of the jobs that run here: BullMQ's locks, renewed four times within their life.

Owns the thread and its connection. A lease that ran out while Redis was away is taken again as long as nobody
else has the job. One that cannot be taken is no loss yet: the run may have ended at this moment. Who gives a run up as lost commits that.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import redis

from ...jobs.model import Job
from .keys import Keys, bull_id
from .moves import lease_of
from .packing import packed
from .scripts import Scripts
from .steady import SteadyThread

AGAIN_S = 0.5
"""How long after a fault it is tried again, at most."""

_log = logging.getLogger("expeditor.store")


class Leases(SteadyThread):
    """Renews.

    ``running``: the jobs whose attempts are this member's; ``gone`` is called when there is one among them whose lease is gone.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        lease_s: float,
        running: Callable[[], Sequence[Job]],
        gone: Callable[[], None],
    ) -> None:
        """Not started yet."""
        super().__init__("expeditor-store-leases", self._run)
        self._client = client
        self._scripts = Scripts(client)
        self._keys = keys
        self._lease_s = lease_s
        self._running = running
        self._gone = gone
        self._fault_at_s: float | None = None
        self._away = False

    def calm(self) -> bool:
        """Whether Redis was there for as long as a lease: else a lease that is gone says nothing of its holder."""
        return self._fault_at_s is None or time.monotonic() - self._fault_at_s > self._lease_s

    def disturbed(self) -> None:
        """Redis was away just now."""
        self._fault_at_s = time.monotonic()

    def renew(self) -> None:
        """One round: renew all, take again what ran out."""
        running = self._running()
        pools: defaultdict[str, list[Job]] = defaultdict(list)
        for job in running:
            pools[job.pool].append(job)
        for pool, jobs in pools.items():
            self._renew(self._keys.queue(pool), {bull_id(job.seq): job for job in jobs})

    def _renew(self, prefix: str, jobs: dict[str, Job]) -> None:
        lease_ms = max(1, round(self._lease_s * 1000))
        tokens = packed([lease_of(job) for job in jobs.values()])
        gone = [name.decode("ascii") for name in self._scripts.extend(prefix, tokens, packed(list(jobs)), lease_ms)]
        if not gone:
            return
        asked = packed([[prefix, name, lease_of(jobs[name])] for name in gone])
        for name, held in zip(gone, self._scripts.hold(asked, lease_ms), strict=True):
            if held:
                _log.warning("the lease of job %s had run out and was taken again", jobs[name].id)
            else:
                self._gone()

    def _run(self) -> None:
        pause_s = self._lease_s / 4
        while not self.stopped.wait(pause_s):
            try:
                self.renew()
            except (redis.RedisError, OSError) as fault:
                if not self._away:
                    _log.warning("leases cannot be renewed: %s", fault)
                self._away = True
                self.disturbed()
                pause_s = min(AGAIN_S, self._lease_s / 4)
            else:
                self._away = False
                pause_s = self._lease_s / 4
