"""The instances in an operator's hands: who is there, and pause, drain or resume one of them or all.

Owns what "all" means: every one that lives. Not owned: where they are kept and how a wish reaches them (``ports.Instances``), and the
queue's own pause (``operations``), which stops all of them at once and is kept by the store.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..jobs.errors import NotFound
from ..jobs.instances import Capabilities, Instance, InstanceState
from .ports import Instances


@dataclass(frozen=True, slots=True)
class WorkersView:
    """All instances by name; ``here`` is the one that was asked. ``wished``: what each was just asked to be, if it was."""

    instances: tuple[Instance, ...]
    here: str
    wished: InstanceState | None = None


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One instance, and what it can run; None where that is not known (any more)."""

    instance: Instance
    capabilities: Capabilities | None


class WorkerService:
    """See the module's docstring. All are idempotent and raise ``StoreUnavailable``."""

    def __init__(self, instances: Instances, here: str) -> None:
        """``here``: the name of this instance."""
        self._instances = instances
        self._here = here

    async def list(self) -> WorkersView:
        """Who was heard of within the last day."""
        return WorkersView(await self._instances.all(), self._here)

    async def one(self, name: str) -> WorkerView:
        """One of them, with what it can run. Raises ``NotFound`` for a name that nobody has."""
        found = next((each for each in await self._instances.all() if each.name == name), None)
        if found is None:
            raise NotFound(f"There is no instance {name[:80]}.")
        return WorkerView(found, await self._instances.capabilities(name))

    async def ask(self, name: str, state: InstanceState) -> WorkersView:
        """Ask one instance. Raises ``NotFound`` for a name that nobody has."""
        return WorkersView((await self._instances.wish(name, state),), self._here, state)

    async def ask_all(self, state: InstanceState) -> WorkersView:
        """Ask every living instance; one that went meanwhile is left out."""
        asked: list[Instance] = []
        for each in await self._instances.all():
            if each.state is not InstanceState.GONE:
                try:
                    asked.append(await self._instances.wish(each.name, state))
                except NotFound:
                    continue
        return WorkersView(tuple(asked), self._here, state)
