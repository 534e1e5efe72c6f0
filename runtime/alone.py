"""An instance that shares its queue with nobody, in the place where others ask for all instances.

Owns that a wish is then the queue's own: pausing it pauses the queue (which survives a restart), draining drains it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from ..intake.views import QueueView
from ..jobs.errors import NotFound
from ..jobs.instances import Capabilities, Instance, InstanceState


class Queue(Protocol):
    """The queue's pause and drain; ``intake.operations`` fits."""

    async def pause(self) -> QueueView:
        """Claim nothing."""
        ...

    async def drain(self) -> QueueView:
        """Refuse and claim nothing."""
        ...

    async def resume(self) -> QueueView:
        """Go on."""
        ...


class AloneInstance:
    """Fits ``intake.ports.Instances``."""

    def __init__(self, about: Callable[[], Instance], abilities: Callable[[], Capabilities], queue: Queue) -> None:
        """``about``: this instance as it is now; ``abilities`` looks at what it can run, and blocks."""
        self._about = about
        self._abilities = abilities
        self._wishes = {
            InstanceState.PAUSED: queue.pause,
            InstanceState.DRAINING: queue.drain,
            InstanceState.ACTIVE: queue.resume,
        }

    async def all(self) -> tuple[Instance, ...]:
        """This one."""
        return (self._about(),)

    async def capabilities(self, name: str) -> Capabilities | None:  # noqa: ARG002 - there is but one
        """As they are now."""
        return await asyncio.to_thread(self._abilities)

    async def wish(self, name: str, state: InstanceState) -> Instance:
        """Done when this returns. Raises ``NotFound`` for another name, ``StoreUnavailable``."""
        me = self._about()
        if name != me.name:
            raise NotFound(
                f"There is no instance {name[:80]}; this one is called {me.name} and shares its queue with nobody."
            )
        await self._wishes[state]()
        return self._about()
