"""What this instance knows of the others on its queue, as it heard last: who is there, and what each can run.

Owns the picture alone; ``membership`` draws it anew with every heartbeat. Asks nobody, does no I/O, safe from any thread. Fits
``intake.ports.Roster`` and ``dispatch.ports.Abilities``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..jobs.fitness import lacking, missing
from ..jobs.instances import Capabilities, Instance, InstanceState, Role
from ..jobs.model import DEFAULT_POOL


@dataclass(frozen=True, slots=True)
class Picture:
    """One moment's. ``instances`` by name, those that are gone too; ``capabilities`` of those whose were heard."""

    instances: Mapping[str, Instance] = field(default_factory=lambda: {})
    capabilities: Mapping[str, Capabilities] = field(default_factory=lambda: {})


class Members:
    """See the module's docstring."""

    def __init__(self, name: str, own_pools: tuple[str, ...], *, works: bool, shared: bool = True) -> None:
        """``name`` is this instance's; ``own_pools`` what it serves if it ``works``. Nobody else is known yet. Not ``shared``: nobody
        ever will be."""
        self.shared = shared
        self._name = name
        self._own = own_pools if works else ()
        self._picture = Picture()
        self._own_capabilities = Capabilities()
        self._mark = ""

    @property
    def picture(self) -> Picture:
        """The latest."""
        return self._picture

    def draw(self, picture: Picture) -> None:
        """What was heard now."""
        self._picture = picture
        self._remark()

    def can(self, capabilities: Capabilities) -> None:
        """What this instance can run now."""
        self._own_capabilities = capabilities
        self._remark()

    def at_odds(self) -> str | None:
        """Which living instances order the queue in another way than this one, in a sentence; None when all do alike."""
        instances = self._picture.instances
        own = instances[self._name].order if self._name in instances else ""
        others = [each for each in instances.values() if each.state is not InstanceState.GONE and each.order]
        other = [f"{each.name} by {each.order}" for each in others if own and each.order != own]
        if not other:
            return None
        return (
            f"The instances do not order the queue alike: this one by {own}, {', '.join(other)}. Whoever starts last orders all that waits "
            "its own way: set ordering and ageing_s alike on all and restart those that differ."
        )

    # -- pools -------------------------------------------------------------------------------------------------------

    def pools(self) -> tuple[str, ...]:
        """Those that a worker serves or served within the last day, this one first."""
        heard = (pool for each in self._picture.instances.values() if Role.WORKER in each.roles for pool in each.pools)
        return tuple(dict.fromkeys((*self._own, *heard)))

    def usual(self) -> str:
        """The default pool, unless nobody serves it and this instance serves others."""
        return DEFAULT_POOL if DEFAULT_POOL in self.pools() or not self._own else self._own[0]

    # -- abilities ---------------------------------------------------------------------------------------------------

    @property
    def mark(self) -> str:
        """Another one when this instance or another can run other things, or one comes or goes."""
        return self._mark

    def missing(self, node_classes: frozenset[str], models: frozenset[str]) -> frozenset[str]:
        """What of these is missing here."""
        living = {each.name for each in self._workers(None)} - {self._name}
        others = (each for name, each in self._picture.capabilities.items() if name in living)
        return missing(self._own_capabilities, others, node_classes, models)

    def able(self, pool: str | None, node_classes: frozenset[str], models: frozenset[str]) -> tuple[Instance, ...]:
        """The living workers of a pool (None: of any) that can run such a job."""
        there = {each.name: each for each in self._workers(pool)}
        known = {name: each for name, each in self._known().items() if name in there}
        lacks = lacking(known, node_classes, models)
        return tuple(there[name] for name in sorted(lacks) if not lacks[name])

    def able_elsewhere(self, node_classes: frozenset[str], models: frozenset[str]) -> tuple[Instance, ...]:
        """The other living workers of any pool that can run such a job."""
        return tuple(each for each in self.able(None, node_classes, models) if each.name != self._name)

    def lacks(self, node_classes: frozenset[str]) -> dict[str, frozenset[str]]:
        """By living worker, which of these classes it has not."""
        known = self._known()
        there = (each.name for each in self._workers(None) if each.name in known)
        return {name: node_classes - known[name].node_classes for name in there}

    def had(self, node_class: str) -> tuple[Instance, ...]:
        """The workers that are gone and had this class while this process heard of them, the one that was heard of last first."""
        gone = (each for each in self._picture.instances.values() if each.state is InstanceState.GONE)
        known = self._picture.capabilities
        found = [each for each in gone if each.name in known and node_class in known[each.name].node_classes]
        return tuple(sorted(found, key=lambda each: -each.seen_at_s))

    def why_nobody(
        self, pool: str, needs: tuple[frozenset[str], frozenset[str]] | None = None, only: str | None = None
    ) -> str | None:
        """Why no instance starts a job of this pool now, in one sentence; None when one may.

        ``needs``: node classes and models; ``only``: the one instance that may run it, as it has the job's partner key."""
        workers = self._workers(pool)
        if not self.shared or not self._picture.instances:
            return None
        if not workers:
            return f"No living instance serves the pool {pool}."
        if only is not None:
            workers = tuple(each for each in workers if each.name == only)
        if not workers:
            return f"Only {only} can run it, which has its partner key, and {only} is away or does not serve the pool {pool}."
        known = self._known()
        able = workers
        if needs is not None and all(each.name in known for each in workers):
            lacks = lacking({each.name: known[each.name] for each in workers}, *needs)
            able = tuple(each for each in workers if not lacks[each.name])
            if not able:
                told = "; ".join(f"{name} lacks {_some(what)}" for name, what in sorted(lacks.items()))
                return f"No living instance can run it: {told}."
        if any(each.state is InstanceState.ACTIVE for each in able):
            return None
        return f"Nobody starts it now: {', '.join(f'{each.name} is {each.state.value}' for each in able)}."

    def machines(self, pool: str | None = None) -> int:
        """See ``Roster``: living workers that neither pause nor drain."""
        return max(sum(each.state is InstanceState.ACTIVE for each in self._workers(pool)), 1)

    def busy_ratio(self, own: float) -> float:
        """How busy the living workers were lately, in the mean; ``own``: this instance."""
        others = [each.busy_ratio for each in self._workers(None) if each.name != self._name]
        known = [own, *(ratio for ratio in others if ratio is not None)]
        return sum(known) / len(known)

    @staticmethod
    def counted(picture: Picture) -> dict[str, int]:
        """How many instances are in each state, all states named."""
        counted = Counter(each.state for each in picture.instances.values())
        return {state.value: counted[state] for state in InstanceState}

    def _remark(self) -> None:
        others = sorted(
            f"{each.name}={each.capabilities_mark}" for each in self._workers(None) if each.name != self._name
        )
        self._mark = " ".join((self._own_capabilities.mark, *others))

    def _workers(self, pool: str | None) -> tuple[Instance, ...]:
        return tuple(
            each
            for each in self._picture.instances.values()
            if each.state is not InstanceState.GONE
            and Role.WORKER in each.roles
            and (pool is None or pool in each.pools)
        )

    def _known(self) -> dict[str, Capabilities]:
        return {**self._picture.capabilities, self._name: self._own_capabilities}


def _some(names: frozenset[str]) -> str:
    first = sorted(names)[:3]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")
