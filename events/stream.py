"""One stream of events: the replay from the log, the hand-over to what is heard live, and the bounds of what it holds.

It listens first, then pages through the log, then goes on with what it heard beyond that. If more happens than its buffer
holds it goes back to the log, so nothing is lost and memory is bounded. Does not own how many streams there are (``streams``).
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from ..jobs.events import END_TYPES, PASSING_TYPES, LoggedEvent
from ..jobs.log import LogPage, LogQuery
from .hub import Passing, Told
from .ports import Reader
from .wanted import Gap, StreamLimits, TooSlow, Wanted


class Source(Protocol):
    """What a stream needs of its maker."""

    limits: StreamLimits

    async def page(self, query: LogQuery) -> LogPage:
        """One page of the log."""
        ...

    async def last_position(self) -> int:
        """The position of the newest event."""
        ...

    def forget(self, stream: Stream, wanted: Wanted) -> None:
        """A stream is closed."""
        ...


@dataclass(slots=True)
class _Live:
    """What was heard and not taken: events in order, the latest of what passes, and whether events were let go."""

    events: deque[LoggedEvent] = field(default_factory=deque[LoggedEvent])
    passing: dict[tuple[str, str], Passing] = field(default_factory=lambda: {})
    missed: bool = False

    def add(self, told: LoggedEvent, most: int) -> bool:
        """Keep an event, at most so many; if there are too many none is kept, and False."""
        if told.type in END_TYPES:
            for kind in PASSING_TYPES:
                self.passing.pop((kind, told.job_id), None)
        if len(self.events) < most:
            self.events.append(told)
            return True
        self.clear()
        self.missed = True
        return False

    def clear(self) -> None:
        """Forget the events."""
        self.events.clear()
        self.missed = False


class Stream:
    """One reader's events, as many at a time as there are; a context manager that lets go of it. Made by ``Streams.open``."""

    def __init__(self, source: Source, wanted: Wanted, reader: Reader | None) -> None:
        """Listens from now on."""
        self._source = source
        self._wanted = wanted
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._told: int = wanted.after or 0
        self._replaying = wanted.after is not None
        self._unsure = True  # whether events may have been forgotten since the last was told
        self._live = _Live()
        self._waiter: asyncio.Future[None] | None = None
        self._away_since_s: float | None = self._loop.time()
        self._closed = False
        self._cut = False

    @property
    def caught_up(self) -> bool:
        """Whether all that has happened so far was given out."""
        return not self._replaying and not self._live.events

    async def some(self, timeout_s: float | None = None) -> tuple[Told | Gap, ...] | None:
        """What there is, in order; empty when there is nothing within ``timeout_s`` (None: waits), or on the way through the log.

        None when the stream is over: closed, or its reader is gone. ``TooSlow``; ``StoreUnavailable`` while it replays.
        """
        self._away_since_s = None
        try:
            if self._cut:
                raise TooSlow
            if self._closed:
                return None
            if not self._replaying and not self._live.events and not self._live.passing:
                await self._wait(timeout_s)
                if self._cut:
                    raise TooSlow
                if self._closed:
                    return None
            # Asked after the wait: more may have come in one go than the buffer holds, and what is heard then is not the next.
            return await self._page() if self._replaying else self._heard()
        finally:
            self._away_since_s = self._loop.time()

    def hear(self, told: Told) -> None:
        """See ``Listener``."""
        live = self._live
        if self._closed:
            return
        if isinstance(told, Passing):
            if not self._wanted.passing:
                return
            live.passing[told.type, told.job_id] = told
        elif not self._wanted.fits(told) or told.position <= self._told:
            return
        else:
            first = live.events[0].position if live.events else told.position
            if not live.add(told, self._source.limits.buffer) and not self._replaying:
                self._told, self._replaying, self._unsure = max(self._told, first - 1), True, True
        self._wake()

    def missed(self, after: int) -> None:
        """See ``Listener``."""
        if self._closed or self._replaying:
            self._unsure = True
            return
        first = self._live.events[0].position - 1 if self._live.events else after
        self._told, self._replaying, self._unsure = max(self._told, min(first, after)), True, True
        self._wake()

    def look(self) -> None:
        """Is the reader still there, and quick enough? Asked from time to time."""
        away_s = 0.0 if self._away_since_s is None else self._loop.time() - self._away_since_s
        if self._reader is not None and self._reader.gone():
            self.close()
        elif away_s > self._source.limits.patience_s and not self._cut:
            self._cut = True
            self._wake()
            if self._reader is not None:
                self._reader.cut()

    def close(self) -> None:
        """Over; idempotent."""
        if not self._closed:
            self._closed = True
            self._source.forget(self, self._wanted)
            self._wake()

    def __enter__(self) -> Stream:
        """The stream itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _heard(self) -> tuple[Told, ...]:
        live = self._live
        found = (*live.events, *live.passing.values())
        if live.events:
            self._told = live.events[-1].position
        live.events.clear()
        live.passing.clear()
        return found

    async def _page(self) -> tuple[Told | Gap, ...]:
        self._live.clear()  # what was heard so far is in the page that is asked for now
        page = await self._source.page(self._wanted.query(self._told))
        gap = await self._gap(page) if self._unsure else ()
        self._unsure = self._live.missed
        if gap and gap[0].position < self._told:
            self._told = gap[0].position
            return gap
        self._told = page.end
        self._replaying = page.more or self._live.missed
        while self._live.events and self._live.events[0].position <= page.end:
            self._live.events.popleft()
        return (*gap, *(event for event in page.events if self._wanted.fits(event)))

    async def _gap(self, page: LogPage) -> tuple[Gap, ...]:
        """Whether events between the reader's position and the page were forgotten; or the position is of another log."""
        after, first = self._told, page.events[0] if page.events else None
        if first is None and after and after > await self._source.last_position():
            return (Gap(0),)
        if after >= page.forgotten:
            return ()
        if self._wanted.job_id is None:
            return (Gap(first.position if first else page.end),) if after else ()
        if first is None or first.number == 1:
            return ()
        kept = await self._source.page(LogQuery(0, 1, self._wanted.job_id))
        return (Gap(first.position),) if kept.events and kept.events[0].position > after else ()

    async def _wait(self, timeout_s: float | None) -> None:
        self._waiter = waiter = self._loop.create_future()
        timer = None if timeout_s is None else self._loop.call_later(timeout_s, self._wake)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
