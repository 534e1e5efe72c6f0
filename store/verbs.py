"""The writing verbs of the queue, once for every storage of ours, by the names of ``JobStore``.

Owns only how the rooms' parts are joined: ``arrivals`` (jobs that wait), ``running`` (jobs that run), ``carrying`` (jobs that change
their store) and ``upkeep``. Does
not own threads, transactions or files (the stores), the moves between statuses (``jobs.transitions``) or the arithmetic of
the order (``jobs.ordering``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ..jobs.affinity import AffinityPolicy
from ..jobs.instances import instance_of
from ..jobs.ordering import OrderPolicy
from .arrivals import Arrivals
from .base import Clock
from .carrying import Carrying
from .done import Done
from .due import DueTimes
from .learning import Learning
from .ledger import Ledger
from .running import Choosing, Running
from .standing import Standing
from .upkeep import Upkeep

P = ParamSpec("P")
T = TypeVar("T")

NO_AFFINITY = AffinityPolicy(slack_s=0.0)
"""Order never gives way to models in memory."""


class _Logging:
    """What is told goes into the ledger's event log."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def logged(self, verb: Callable[P, Done[T]]) -> Callable[P, Done[T]]:
        """The verb, whose events are kept with what it does."""

        def run(*args: P.args, **kwargs: P.kwargs) -> Done[T]:
            done = verb(*args, **kwargs)
            return Done(done.value, self._ledger.log(done.events)) if done.events else done

        return run


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
        standing, choosing = (
            Standing(ledger, policy, learning),
            Choosing(ledger, affinity, policy, learning, instance_of(boot_id)),
        )
        times = DueTimes(ledger, standing, clock)
        arrivals = Arrivals(ledger, standing, times)
        running = Running(ledger, standing, times, choosing, learning, boot_id)
        carrying, upkeep = Carrying(ledger, standing, times), Upkeep(ledger, standing, times, choosing, boot_id)

        logged = _Logging(ledger).logged
        self.enqueue = logged(arrivals.enqueue)
        self.enqueue_all = logged(arrivals.enqueue_all)
        self.redrive = logged(arrivals.redrive)
        self.cancel = logged(arrivals.cancel)
        self.reprioritise = logged(arrivals.reprioritise)
        self.answer = arrivals.answer
        self.fail_queued = logged(arrivals.fail_queued)
        self.hold = logged(arrivals.hold)
        self.claim = logged(running.claim)
        self.give_back = logged(running.give_back)
        self.set_metadata = running.set_metadata
        self.finish = logged(running.finish)
        self.retry = logged(running.retry)
        self.rerun = logged(running.rerun)
        self.park = logged(running.park)
        self.stopping = running.stopping
        self.adopt = logged(carrying.adopt)
        self.let_go = carrying.let_go
        self.pause = upkeep.pause
        self.tick = logged(upkeep.tick)
        self.probe = upkeep.probe
        self.prune = upkeep.prune
        self.forget = upkeep.forget
        self.forget_history = upkeep.forget_history
        self.recover = logged(upkeep.recover)
        self.rescore = standing.rescore
        self.promote = times.now_s
