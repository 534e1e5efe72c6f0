"""One instance's share in a queue on a real Redis: its connections, its clock and its store. No ComfyUI."""

from __future__ import annotations

import time
import uuid

from expeditor.jobs.ordering import OrderPolicy
from expeditor.store.bullmq.adapter import BullmqStore
from expeditor.store.bullmq.address import parse
from expeditor.store.bullmq.clock import RedisClock
from expeditor.store.bullmq.connections import Connections
from tests.conformance.harness import SOON_S, Ears


class Member:
    """One instance's store, open; ``off_s``: how wrong its machine's clock is."""

    def __init__(self, url: str, name: str = "gpu1", off_s: float = 0.0, lease_s: float = 30.0) -> None:
        self.clock = RedisClock(wall=lambda: time.time() + off_s)
        self.connections = Connections(parse(url), name, self.clock)
        self.ears = Ears()
        self.store = BullmqStore(
            connections=self.connections,
            namespace="q",
            policy=OrderPolicy(),
            clock=self.clock,
            boot_id=f"{name}/{uuid.uuid4().hex}",
            publisher=self.ears,
            observer=self.ears,
            lease_s=lease_s,
            look_s=SOON_S,
        )
        self.store.open()

    def close(self) -> None:
        self.store.close()
        self.connections.close()
