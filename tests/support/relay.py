"""A relay between instances in one process: fits `expeditor.store.relay.Relay`, says everything at once and on the caller's thread."""

from __future__ import annotations

from collections import defaultdict

from expeditor.store.relay import Heard


class FakeRelays:
    """The relays of some instances that hear each other; `lost` kinds are not passed on."""

    def __init__(self) -> None:
        self.members: dict[str, FakeRelay] = {}
        self.said: list[tuple[str, str | None, str, bytes]] = []
        self.lost: set[str] = set()

    def of(self, name: str) -> FakeRelay:
        """The relay of one instance."""
        return self.members.setdefault(name, FakeRelay(self, name))


class FakeRelay:
    """One instance's."""

    def __init__(self, relays: FakeRelays, name: str) -> None:
        self._relays = relays
        self._name = name
        self.ears: dict[str, list[Heard]] = defaultdict(list)

    def send(self, to: str | None, kind: str, body: bytes = b"") -> None:
        """See `Relay`."""
        self._relays.said.append((self._name, to, kind, body))
        if kind in self._relays.lost:
            return
        for name, member in tuple(self._relays.members.items()):
            if name != self._name and to in (None, name):
                for heard in member.ears[kind]:
                    heard(self._name, kind, body)

    def listen(self, kind: str, heard: Heard) -> None:
        """See `Relay`."""
        self.ears[kind].append(heard)
