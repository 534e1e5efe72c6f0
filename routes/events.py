"""Streams of events over HTTP: of one job from its first event, of many from now on, each from wherever a client comes back.

Owns when a stream begins and ends. What is told is ``events.streams``', how it is written ``sse``'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from aiohttp import hdrs, web

from ..events.hub import Passing
from ..events.streams import Gap, Stream, Streams, TooSlow, Wanted
from ..intake.views import JobView
from ..jobs.errors import StoreUnavailable
from ..jobs.events import END_TYPES, LoggedEvent
from ..jobs.transitions import is_terminal
from .following import OF_A_JOB, OF_MANY, Followed, followed
from .sse import COMMENT, EventResponse, Frames

NOTHING_MORE = 204
"""What tells a browser's EventSource not to come back."""

Told = LoggedEvent | Passing | Gap


class Jobs(Protocol):
    """Finding a job; ``intake.service.JobService`` fits."""

    async def get(self, job_id: str) -> JobView:
        """One job; ``NotFound``, ``Gone``."""
        ...


class EventRoutes:
    """The handlers. What goes wrong before the first byte is the error boundary's; after it the stream ends."""

    def __init__(self, streams: Streams, jobs: Jobs, *, heartbeat_s: float, headers: Mapping[str, str]) -> None:
        """A comment is sent after ``heartbeat_s`` of silence. ``headers`` are sent with every stream: no middleware can add any."""
        self._streams = streams
        self._jobs = jobs
        self._heartbeat_s = heartbeat_s
        self._headers = headers
        self._written = Frames()

    async def of_job(self, request: web.Request) -> web.StreamResponse:
        """``GET /expeditor/jobs/{id}/events?after=&types=`` → its events from the first on, up to its end."""
        asked = followed(request.query, request.headers, OF_A_JOB)
        job = (await self._jobs.get(request.match_info["job_id"])).job
        wanted = Wanted(job_id=job.id, after=asked.after or 0, passing=asked.passing)
        return await self._serve(request, wanted, asked, _End(is_terminal(job.status)))

    async def of_many(self, request: web.Request) -> web.StreamResponse:
        """``GET /expeditor/events?principal=&batch=&after=&types=`` → events from now on, or from where the client was."""
        asked = followed(request.query, request.headers, OF_MANY)
        after = await self._streams.last_position() if asked.after is None else asked.after
        wanted = Wanted(principal=asked.principal, batch_id=asked.batch, after=after, passing=asked.passing)
        return await self._serve(request, wanted, asked, None)

    async def _serve(
        self, request: web.Request, wanted: Wanted, asked: Followed, end: _End | None
    ) -> web.StreamResponse:
        reader = EventResponse(request, self._headers)
        if request.method == hdrs.METH_HEAD:
            return await reader.head()
        return await self._stream(reader, wanted, asked, end)

    async def _stream(
        self, reader: EventResponse, wanted: Wanted, asked: Followed, end: _End | None
    ) -> web.StreamResponse:
        with self._streams.open(wanted, reader) as stream:
            first = await stream.some()
            if not first and end is not None and end.came and asked.after is not None and stream.caught_up:
                return web.Response(status=NOTHING_MORE, headers=self._headers)
            try:
                await reader.open(wanted.after or 0)
                await self._send(reader, stream, first, asked, end)
                await reader.response.write_eof()
            except (ConnectionError, TooSlow, StoreUnavailable):
                reader.cut()  # not a clean end: the client shall come back
        return reader.response

    async def _send(
        self,
        reader: EventResponse,
        stream: Stream,
        told: tuple[Told, ...] | None,
        asked: Followed,
        end: _End | None,
    ) -> None:
        while told is not None:
            frames = b"".join(self._written.of(one) for one in told if isinstance(one, Gap) or asked.takes(one.type))
            if frames:
                await reader.send(frames)
            if end is not None and end.after(told) and stream.caught_up:
                return
            told = await stream.some(self._heartbeat_s)
            if told == () and stream.caught_up:
                await reader.send(COMMENT)


class _End:
    """Whether a job's end has been told, or came before; one that was put back into the queue has no end."""

    def __init__(self, came: bool) -> None:
        self.came = came

    def after(self, told: Iterable[Told]) -> bool:
        for one in told:
            if isinstance(one, LoggedEvent):
                self.came = one.type in END_TYPES
        return self.came
