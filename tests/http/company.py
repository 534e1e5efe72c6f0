"""Who else shares the queue, as a test says: fakes beside the one instance of ``edge``."""

from __future__ import annotations

from expeditor.intake.pools import AlonePools
from expeditor.jobs.instances import Capabilities
from expeditor.runtime.alone import AloneInstance


class FakeInstances(AloneInstance):
    """Itself, and those ``beside`` it that a test has put there."""

    def __init__(self, about, queue) -> None:
        super().__init__(about, lambda: Capabilities(frozenset({"B", "A"}), frozenset({"x.ckpt"})), queue)
        self.beside = []

    async def all(self):
        return (*await super().all(), *self.beside)


class FakeRoster:
    """As an instance that stands alone, but ``count`` machines start jobs."""

    def __init__(self, *pools) -> None:
        self.count, self._alone = 1, AlonePools(pools)

    def machines(self, pool=None):
        return self.count

    def __getattr__(self, name):
        return getattr(self._alone, name)
