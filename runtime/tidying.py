"""Removes, every hour, what nobody goes on sending and what is owed to instances that nobody knows any more. Owns when; what is old is
``host.landing``'s and ``host.owed``'s."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from ..host.landing import LandingGround
from ..host.owed import OwedFiles
from ..jobs.errors import StoreUnavailable

log = logging.getLogger("expeditor.runtime")

EVERY_S = 3600.0


class Tidying:
    """See the module's docstring."""

    def __init__(
        self,
        name: str,
        landing: LandingGround,
        owed: OwedFiles,
        names: Callable[[], frozenset[str]],
        every_s: float = EVERY_S,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """``name`` is this instance's; ``names`` those that the registry lists now, also gone ones: it blocks, and raises
        ``StoreUnavailable``. ``wall``: the time as files have it."""
        self._name = name
        self._landing = landing
        self._owed = owed
        self._names = names
        self._every_s = every_s
        self._wall = wall

    def once(self) -> None:
        """Now. Blocks."""
        self._landing.sweep()
        with suppress(StoreUnavailable):
            listed = self._names()
            if self._name in listed:  # else the registry was emptied, and nobody has announced himself again
                self._owed.let_go(listed, self._wall())

    async def for_ever(self) -> None:
        """At once and then every hour, until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.once)
            except Exception:  # noqa: BLE001 - the disk must be tidied also after a fault of ours
                log.exception("What nobody sends any more could not be removed", extra={"event": "tidy.failed"})
            await asyncio.sleep(self._every_s)
