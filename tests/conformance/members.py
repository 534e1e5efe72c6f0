"""Members of one shared queue, each with a store on a real Redis: for tests of what they promise each other. Owns no expectations."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from expeditor.jobs.events import JobEvent
from expeditor.jobs.instances import boot_id_of
from expeditor.jobs.ordering import OrderPolicy
from expeditor.store.bullmq.adapter import BullmqStore
from expeditor.store.bullmq.address import parse
from expeditor.store.bullmq.connections import Connections
from tests.conformance.harness import SOON_S, Ears, HandClock


@dataclass
class Neighbourly:
    """Hears what others do, and keeps it in one list with what this member published."""

    told: list[JobEvent]
    missed_spans: list[tuple[int, int]] = field(default_factory=lambda: [])
    woken: int = 0
    lost: list[tuple[str, int]] = field(default_factory=lambda: [])

    def heard(self, events: tuple[JobEvent, ...]) -> None:
        self.told.extend(events)

    def missed(self, after: int, until: int) -> None:
        self.missed_spans.append((after, until))

    def waiting(self) -> None:
        self.woken += 1

    def lease_lost(self, job_id: str, attempt: int) -> None:
        self.lost.append((job_id, attempt))


@dataclass
class Member:
    """One member: its store, and all that it told and heard, in order."""

    store: BullmqStore
    ears: Ears
    neighbours: Neighbourly
    namespace: str


class Members:
    """Opens members of one queue; `close` ends them all."""

    def __init__(self, redis_url: str) -> None:
        self.url = redis_url
        self.namespace = f"t{uuid.uuid4().hex[:12]}"
        self.clock = HandClock()
        self._made: list[tuple[BullmqStore, Connections]] = []

    def __call__(self, name: str, life: str = "1", *, url: str | None = None, **fields: Any) -> Member:
        """One more, open; ``url``: by another way to the same server."""
        ears = Ears()
        neighbours = Neighbourly(ears.events)
        connections = Connections(parse(url or self.url), name)
        settings: dict[str, Any] = {"lease_s": 30.0, "look_s": SOON_S, **fields}
        store = BullmqStore(
            connections=connections,
            namespace=self.namespace,
            policy=OrderPolicy(),
            clock=self.clock,
            boot_id=boot_id_of(name, life),
            publisher=ears,
            observer=ears,
            neighbours=neighbours,
            **settings,
        )
        self._made.append((store, connections))
        store.open()
        return Member(store, ears, neighbours, self.namespace)

    def close(self) -> None:
        for store, connections in self._made:
            store.close()
            connections.close()
