"""The contract of the registry of instances: who is there, what they can do, and what is wished of them.

What holds for all verbs of ``store.base.JobStore`` holds for these: any thread, a future each, ``StoreUnavailable`` when nothing was
stored or found out. Only a store that several instances share has one.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol

from ..jobs.instances import Capabilities, Instance, InstanceState

HEARTBEAT_S = 5.0
"""How often an instance announces itself."""
GONE_AFTER_S = 20.0
"""Not heard of for so long: ``GONE``."""
FORGOTTEN_AFTER_S = 86_400.0
"""Gone for so long: not listed any more."""
WISHED = "wished"
"""The relayed word that tells an instance what is wished of it; its body is the state."""


class InstanceRegistry(Protocol):
    """See the module's docstring."""

    def announce(self, instance: Instance, capabilities: Capabilities | None = None) -> Future[InstanceState]:
        """A heartbeat; ``capabilities`` when they changed. Gives back what is wished of it: ``ACTIVE``, ``PAUSED`` or ``DRAINING``.

        ``Conflict`` when another living instance (with another ``boot_id``, heard of since) has this name.
        """
        ...

    def leave(self, name: str, boot_id: str) -> Future[None]:
        """This life of the instance ends; it is listed as gone at once. Nothing if another life has the name by now."""
        ...

    def instances(self) -> Future[tuple[Instance, ...]]:
        """All, by name; those not heard of for ``GONE_AFTER_S`` with ``GONE`` as their state."""
        ...

    def capabilities(self, name: str) -> Future[Capabilities | None]:
        """What an instance can run; None when it is unknown."""
        ...

    def wish(self, name: str, state: InstanceState) -> Future[Instance]:
        """Ask an instance to pause, drain or be active again. It hears so by a relayed word and with its next heartbeat; a wish to pause
        survives its restart, one to drain does not. ``NotFound``."""
        ...

    def secret(self) -> Future[str]:
        """What members show each other over HTTP; made by the first who asks."""
        ...
