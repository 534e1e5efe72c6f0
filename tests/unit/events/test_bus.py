"""The bus: everybody hears every event in order, and one that fails keeps nobody from hearing."""

from __future__ import annotations

import logging

from expeditor.events.bus import Bus
from expeditor.jobs.events import JobEvent
from tests.conformance.harness import MemoryStorage, enqueue


class FakeSubscriber:
    """Notes what it hears, on a list that several share; fails when told to."""

    def __init__(self, name, heard, *, failing=False) -> None:
        self._name = name
        self._heard = heard
        self._failing = failing

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        self._heard.append((self._name, [event.type for event in events]))
        if self._failing:
            raise RuntimeError("a fault of ours")


def events():
    storage = MemoryStorage()
    enqueue(storage.start(), "a")
    enqueue(storage.store, "b")
    storage.stop()
    return tuple(storage.ears.events)


def test_everybody_hears_in_the_order_given(caplog):
    heard = []
    bus = Bus((FakeSubscriber("1", heard), FakeSubscriber("2", heard, failing=True), FakeSubscriber("3", heard)))
    with caplog.at_level(logging.WARNING, "expeditor.events"):
        bus.publish(events())
    assert heard == [(name, ["job.queued", "job.queued"]) for name in "123"]
    assert caplog.messages == ["A subscriber failed"]


def test_nobody_listens():
    Bus().publish(events())
