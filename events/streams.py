"""Streams of events: what was kept is replayed, then what happens is told live; each event once, in order, also to a reader
who comes back with the last position that it has seen.

Owns how many streams there are, the way to the log, and looking for readers that are gone or too slow. What one stream does is
``stream``'s own. Does not own how events are written (``jobs.wire``) nor how they are sent (``routes``).
"""

from __future__ import annotations

import asyncio

from ..jobs.awaiting import Awaiter
from ..jobs.errors import RateLimited
from ..jobs.log import LogPage, LogQuery
from .hub import Hub, Passing
from .ports import KeptEvents, Reader
from .stream import Stream
from .wanted import Gap, StreamLimits, TooSlow, Wanted

__all__ = ["Gap", "Passing", "Stream", "StreamLimits", "Streams", "TooSlow", "Wanted"]

LOOK_S = 1.0
"""How often it is looked for readers that are gone or too slow."""
RETRY_AFTER_S = 10


class Streams:
    """All open streams of this process. On one event loop."""

    def __init__(
        self,
        hub: Hub,
        kept: KeptEvents,
        awaiter: Awaiter,
        limits: StreamLimits = StreamLimits(),  # noqa: B008 - a frozen value
        look_s: float = LOOK_S,
    ) -> None:
        """``awaiter`` bounds the wait for each page of the log."""
        self.limits = limits
        self._look_s = look_s
        self._hub = hub
        self._kept = kept
        self._awaiter = awaiter
        self._open: dict[Stream, None] = {}
        self._looking: asyncio.TimerHandle | None = None

    def open(self, wanted: Wanted, reader: Reader | None = None) -> Stream:
        """A stream that listens from now on; close it. ``RateLimited`` when there are too many."""
        if len(self._open) >= self.limits.streams:
            text = f"There are {len(self._open)} event streams open already, the most that this server serves."
            raise RateLimited(text, retry_after_s=RETRY_AFTER_S)
        stream = Stream(self, wanted, reader)
        self._open[stream] = None
        self._hub.add(wanted.key, stream, passing=wanted.passing)
        if self._looking is None:
            self._look_later()
        return stream

    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    def close(self) -> None:
        """End all of them: the server stops."""
        for stream in tuple(self._open):
            stream.close()

    async def page(self, query: LogQuery) -> LogPage:
        """One page of the log."""
        return await self._awaiter.settled(self._kept.events(query))

    async def last_position(self) -> int:
        """The position of the newest event: who streams from now on starts here."""
        return await self._awaiter.settled(self._kept.last_position())

    def forget(self, stream: Stream, wanted: Wanted) -> None:
        """A stream is closed."""
        self._hub.remove(wanted.key, stream, passing=wanted.passing)
        self._open.pop(stream, None)

    def _look_later(self) -> None:
        self._looking = asyncio.get_running_loop().call_later(self._look_s, self._look)

    def _look(self) -> None:
        self._looking = None
        for stream in tuple(self._open):
            stream.look()
        if self._open:
            self._look_later()
