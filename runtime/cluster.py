"""What an instance shares with others: the connections to their queue, the registry, the relay, the time. None of it in a process that
stands alone, which imports none of its libraries either.

Owns that these are made only for a shared store and started when the queue is opened. Not owned: what is told over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..store.base import Clock
from ..store.bullmq.address import parse
from ..store.instances import InstanceRegistry
from ..store.relay import Relay
from .clock import SteadyClock, steady_s
from .identity import Identity
from .neighbours import Neighbourhood
from .settings import Settings
from .settings_source import SettingsError

if TYPE_CHECKING:
    from ..store.bullmq.connections import Connections
    from ..store.bullmq.relay import BullmqRelay

EXTRA = ("bullmq==3.4.4", "msgpack>=1.0,<2", "redis>=6.2,<9")
"""The extra ``cluster`` of pyproject.toml; a test holds the two together."""
LIBRARIES = ("bullmq", "redis", "msgpack")
"""What is imported of it."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The ways to the other instances. ``clock`` gives Redis' time, whatever this machine's says; ``neighbours`` hears what others do
    to the queue."""

    registry: InstanceRegistry
    relay: Relay
    clock: Clock
    neighbours: Neighbourhood
    connections: Connections
    _relay: BullmqRelay

    def start(self) -> None:
        """Speak with the others from now on, whenever the shared store is there; starts threads, waits for nothing; idempotent."""
        self._relay.start()


def join_cluster(settings: Settings, identity: Identity) -> Cluster | None:
    """The cluster that the settings name, or None where the queue is this process's own. Connects nothing yet.

    ``SettingsError`` when the extra is not installed.
    """
    if not identity.shared:
        return None
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise SettingsError(missing_extra(missing))
    from ..store.bullmq.clock import RedisClock  # noqa: PLC0415 - only an instance among several needs its libraries
    from ..store.bullmq.connections import Connections  # noqa: PLC0415
    from ..store.bullmq.instances import BullmqInstances  # noqa: PLC0415
    from ..store.bullmq.relay import BullmqRelay  # noqa: PLC0415

    clock = RedisClock(steady=steady_s)
    connections = Connections(parse(settings.store), identity.name, clock)
    relay = BullmqRelay(connections, settings.store_namespace, identity.name)
    registry = BullmqInstances(connections, settings.store_namespace, relay)
    return Cluster(registry, relay, clock, Neighbourhood(identity.name), connections, relay)


def clock_of(cluster: Cluster | None) -> Clock:
    """The time that everything stored is measured by."""
    return SteadyClock() if cluster is None else cluster.clock


def missing_extra(modules: Sequence[str]) -> str:
    """What to do about it, in one sentence."""
    wanted = " ".join(f"'{one}'" for one in EXTRA)
    return f"Setting store: a shared queue needs the extra cluster, and {', '.join(modules)} is not installed: pip install {wanted}"
