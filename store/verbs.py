"""The writing verbs of the queue, once for every storage of ours, by the names of ``JobStore``.

Owns only how the rooms' parts are joined: ``arrivals`` (jobs that wait), ``running`` (jobs that run) and ``upkeep``. Does
not own threads, transactions or files (the stores), the moves between statuses (``jobs.transitions``) or the arithmetic of
the order (``jobs.ordering``).
"""

from __future__ import annotations

from ..jobs.affinity import AffinityPolicy
from ..jobs.ordering import OrderPolicy
from .arrivals import Arrivals
from .base import Clock
from .due import DueTimes
from .learning import Learning
from .ledger import Ledger
from .running import Choosing, Running
from .standing import Standing
from .upkeep import Upkeep

NO_AFFINITY = AffinityPolicy(slack_s=0.0)
"""Order never gives way to models in memory."""


class Verbs:
    """The verbs on one ledger. ``boot_id`` names this process's life in the attempts that it opens."""

    def __init__(
        self,
        ledger: Ledger,
        policy: OrderPolicy,
        clock: Clock,
        boot_id: str,
        affinity: AffinityPolicy = NO_AFFINITY,
    ) -> None:
        """Touch nothing yet; ``clock`` is asked once per verb that needs the time."""
        learning = Learning(ledger)
        standing = Standing(ledger, policy, learning)
        times = DueTimes(ledger, standing, clock)
        arrivals = Arrivals(ledger, standing, times)
        choosing = Choosing(ledger, affinity, policy, learning)
        running = Running(ledger, standing, times, choosing, learning, boot_id)
        upkeep = Upkeep(ledger, standing, times, boot_id)
        self.enqueue = arrivals.enqueue
        self.enqueue_all = arrivals.enqueue_all
        self.redrive = arrivals.redrive
        self.cancel = arrivals.cancel
        self.reprioritise = arrivals.reprioritise
        self.fail_queued = arrivals.fail_queued
        self.hold = arrivals.hold
        self.claim = running.claim
        self.finish = running.finish
        self.retry = running.retry
        self.rerun = running.rerun
        self.stopping = running.stopping
        self.pause = upkeep.pause
        self.tick = upkeep.tick
        self.probe = upkeep.probe
        self.prune = upkeep.prune
        self.forget = upkeep.forget
        self.forget_history = upkeep.forget_history
        self.recover = upkeep.recover
        self.rescore = standing.rescore
        self.promote = times.now_s
