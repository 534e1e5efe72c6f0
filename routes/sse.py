"""Server-sent events: the frames, and one response that streams them.

Owns the wire form (https://html.spec.whatwg.org/multipage/server-sent-events.html) and the headers that keep proxies from holding
frames back. Does not own what is told (``jobs.wire``) nor when.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web

from ..events.hub import Passing
from ..events.wanted import Gap
from ..jobs.cursors import cursor_of
from ..jobs.events import LoggedEvent
from ..jobs.model import JsonObject
from ..jobs.wire import event_json, passing_json

GAP = "stream.gap"
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}
RECONNECT_MS = 2_000
COMMENT = b":\n\n"
"""What keeps an idle connection open; readers pass it over."""


def frame(told: LoggedEvent | Passing | Gap) -> bytes:
    """One frame. Only events that are kept have an id: who comes back with it goes on after them."""
    if isinstance(told, LoggedEvent):
        return _frame(told.type, event_json(told), cursor_of(told.position))
    if isinstance(told, Gap):
        return _frame(
            GAP, {"type": GAP, "message": "Events before this may have been forgotten with their jobs."}, None
        )
    return _frame(told.type, passing_json(told.type, told.job_id, told.at_s, told.facts), None)


class Frames:
    """Frames of events that many streams tell: each is made once, as long as it is among the last few."""

    def __init__(self, most: int = 256) -> None:
        """``most`` are remembered."""
        self._most = most
        self._made: dict[int, tuple[LoggedEvent, bytes]] = {}

    def of(self, told: LoggedEvent | Passing | Gap) -> bytes:
        """As ``frame``."""
        if not isinstance(told, LoggedEvent):
            return frame(told)
        made = self._made.get(told.position)
        if made is not None and made[0] is told:
            return made[1]
        if len(self._made) >= self._most:
            self._made.pop(next(iter(self._made)))
        written = frame(told)
        self._made[told.position] = (told, written)
        return written


def opening(position: int) -> bytes:
    """The first frame: how soon to reconnect, and where from if nothing happens before."""
    return f"retry: {RECONNECT_MS}\nid: {cursor_of(position)}\n\n".encode("ascii")


class EventResponse:
    """One response; also the stream's ``Reader``. ``headers`` come on top of ``HEADERS``."""

    def __init__(self, request: web.Request, headers: Mapping[str, str]) -> None:
        """Sends nothing yet."""
        self._request = request
        self.response = web.StreamResponse(headers={**headers, **HEADERS})

    async def head(self) -> web.StreamResponse:
        """The answer to ``HEAD``: the headers alone. aiohttp asks the handler of ``GET`` and would send all that it writes."""
        await self.response.prepare(self._request)
        await self.response.write_eof()
        return self.response

    async def open(self, position: int) -> None:
        """Send the headers and the first frame."""
        await self.response.prepare(self._request)
        await self.send(opening(position))

    async def send(self, frames: bytes) -> None:
        """Send frames; waits for a slow reader. ``ConnectionError`` when it is gone."""
        await self.response.write(frames)

    def gone(self) -> bool:
        """See ``events.ports.Reader``."""
        transport = self._request.transport
        return transport is None or transport.is_closing()

    def cut(self) -> None:
        """See ``events.ports.Reader``. Not ``close``: that would wait for what the reader does not take."""
        if self._request.transport is not None:
            self._request.transport.abort()


def _frame(kind: str, fields: JsonObject, cursor: str | None) -> bytes:
    # ASCII escapes: no line end and nothing that UTF-8 cannot hold stands in the data.
    first = "" if cursor is None else f"id: {cursor}\n"
    return f"{first}event: {kind}\ndata: {json.dumps(fields, separators=(',', ':'))}\n\n".encode("ascii")
