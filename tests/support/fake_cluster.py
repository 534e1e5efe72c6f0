"""Fakes of the registry and the relay for tests of what stands on them; tests/conformance holds them to the contract too.

Nothing is kept and nothing is sent: one ``FakeCluster`` is what all its members share.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TypeVar

from expeditor.jobs.errors import Conflict, NotFound, StoreUnavailable
from expeditor.jobs.instances import Capabilities, Instance, InstanceState
from expeditor.store.instances import FORGOTTEN_AFTER_S, GONE_AFTER_S, WISHED
from expeditor.store.relay import WORD_MAX_BYTES, Heard

T = TypeVar("T")


@dataclass
class FakeCluster:
    """What members share. ``away``: as if the shared store could not be reached."""

    clock: Callable[[], float]
    away: bool = False
    members: dict[str, Instance] = field(default_factory=dict[str, Instance])
    left: set[str] = field(default_factory=set[str])
    wishes: dict[str, tuple[InstanceState, str]] = field(default_factory=dict[str, tuple[InstanceState, str]])
    marked: dict[str, Capabilities] = field(default_factory=dict[str, Capabilities])
    relays: list[FakeRelay] = field(default_factory=list["FakeRelay"])

    def relay(self, name: str) -> FakeRelay:
        """The relay of one member."""
        made = FakeRelay(self, name)
        self.relays.append(made)
        return made

    def registry(self) -> FakeInstances:
        """The registry as one member sees it."""
        return FakeInstances(self)


class FakeRelay:
    """Words are heard at once, on the thread that says them."""

    def __init__(self, cluster: FakeCluster, name: str) -> None:
        self._cluster, self._name = cluster, name
        self._heard: dict[str, list[Heard]] = {}

    def send(self, to: str | None, kind: str, body: bytes = b"") -> None:
        if len(body) > WORD_MAX_BYTES or self._cluster.away:
            return
        for relay in self._cluster.relays:
            if relay._name == to or (to is None and relay._name != self._name):
                for heard in relay._heard.get(kind, ()):
                    heard(self._name, kind, body)

    def listen(self, kind: str, heard: Heard) -> None:
        self._heard.setdefault(kind, []).append(heard)


class FakeInstances:
    """Futures are done when they are given out."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    def announce(self, instance: Instance, capabilities: Capabilities | None = None) -> Future[InstanceState]:
        return self._done(lambda: self._announce(instance, capabilities))

    def leave(self, name: str, boot_id: str) -> Future[None]:
        def leave() -> None:
            known = self._cluster.members.get(name)
            if known is not None and known.boot_id == boot_id:
                self._cluster.left.add(name)

        return self._done(leave)

    def instances(self) -> Future[tuple[Instance, ...]]:
        return self._done(
            lambda: tuple(self._shown(name) for name in sorted(self._cluster.members) if self._remembered(name))
        )

    def capabilities(self, name: str) -> Future[Capabilities | None]:
        known = self._cluster.members.get(name)
        return self._done(lambda: None if known is None else self._cluster.marked.get(known.capabilities_mark))

    def wish(self, name: str, state: InstanceState) -> Future[Instance]:
        def wish() -> Instance:
            if name not in self._cluster.members:
                raise NotFound(f"There is no instance called {name}.")
            self._cluster.wishes[name] = (state, self._cluster.members[name].boot_id)
            FakeRelay(self._cluster, "").send(name, WISHED, state.value.encode())
            return self._shown(name)

        return self._done(wish)

    def secret(self) -> Future[str]:
        return self._done(lambda: "a-secret-of-the-fake-cluster")

    def _announce(self, instance: Instance, capabilities: Capabilities | None) -> InstanceState:
        cluster, name = self._cluster, instance.name
        known = cluster.members.get(name)
        if (
            known is not None
            and known.boot_id != instance.boot_id
            and self._shown(name).state is not InstanceState.GONE
        ):
            raise Conflict(f"Another living instance is called {name}.")
        cluster.left.discard(name)
        cluster.members[name] = replace(instance, seen_at_s=cluster.clock())
        if capabilities is not None:
            cluster.marked[instance.capabilities_mark] = capabilities
        wished, boot_id = cluster.wishes.get(name, (InstanceState.ACTIVE, ""))
        if wished is InstanceState.DRAINING and boot_id != instance.boot_id:
            del cluster.wishes[name]
            return InstanceState.ACTIVE
        return wished

    def _remembered(self, name: str) -> bool:
        return self._cluster.clock() - self._cluster.members[name].seen_at_s <= FORGOTTEN_AFTER_S

    def _shown(self, name: str) -> Instance:
        one = self._cluster.members[name]
        gone = name in self._cluster.left or self._cluster.clock() - one.seen_at_s > GONE_AFTER_S
        return replace(one, state=InstanceState.GONE) if gone else one

    def _done(self, verb: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        try:
            if self._cluster.away:
                raise StoreUnavailable("The fake cluster is away.")
            future.set_result(verb())
        except Exception as error:  # noqa: BLE001 - a future carries whatever it was
            future.set_exception(error)
        return future
