"""A job's live events in the contract's frames: ``status``, ``progress``, ``preview``, ``output``; the stream ends after the last status.

Owns when a stream begins and ends and what of the snapshot is told. What happens comes from ``events.streams``; how a job reads in the
contract is ``render``'s. Nothing is replayed and frames have no ids: the contract's clients come back for a new snapshot.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import hdrs, web

from ...events.streams import Gap, Passing, Stream, Streams, TooSlow, Wanted
from ...intake.v2.refusals import TooManyStreams
from ...intake.v2.service import ContractJobs
from ...intake.v2.words import STATUS
from ...intake.views import JobView
from ...jobs.errors import NotFound, RateLimited, StoreUnavailable
from ...jobs.events import OUTPUT, PREVIEW, PROGRESS, LoggedEvent
from ...jobs.model import JobStatus, JsonObject
from ...jobs.transitions import is_terminal
from ..sse import COMMENT, EventResponse
from .errors import REQUEST_ID, new_request_id
from .jobs import place_of
from .render import Keeping, Place, contract_output, contract_progress, event_output, event_progress

Told = LoggedEvent | Passing | Gap
QUIET_S = 15.0
"""Longest silence that the contract's clients are asked to bear."""
LOOK_S = 1.0
FARTHEST_LOOK_S = 15.0
SETTLING = 3


class V2EventRoutes:
    """The handler. What goes wrong before the first byte is the boundary's; after it the stream breaks off and its client comes back."""

    def __init__(self, streams: Streams, jobs: ContractJobs, *, heartbeat_s: float, headers: Mapping[str, str]) -> None:
        """A comment is sent after ``heartbeat_s`` of silence, 15 s at most. ``headers`` are sent with every stream."""
        self._streams = streams
        self._jobs = jobs
        self._heartbeat_s = min(heartbeat_s, QUIET_S)
        self._headers = headers

    async def events(self, request: web.Request) -> web.StreamResponse:
        """``GET /jobs/{id}/events`` → server-sent events up to the job's end."""
        reader = EventResponse(request, {**self._headers, REQUEST_ID: new_request_id()})
        with self._open(request.match_info["job_id"], reader) as stream:
            view = await self._settled(request.match_info["job_id"], stream)
            telling = _Telling(view.job.id, place_of(request), Keeping(self._jobs.kept, self._jobs.now_s()))
            try:
                if request.method == hdrs.METH_HEAD:
                    return await reader.head()
                await reader.response.prepare(request)
                await self._tell(reader, stream, telling, view)
            except (ConnectionError, TooSlow, StoreUnavailable, NotFound):
                reader.cut()  # not a clean end: the client shall come back
        return reader.response

    def _open(self, job_id: str, reader: EventResponse) -> Stream:
        try:
            return self._streams.open(Wanted(job_id=job_id), reader)
        except RateLimited as error:
            raise TooManyStreams(error.message, retry_after_s=error.retry_after_s) from error

    async def _settled(self, job_id: str, stream: Stream) -> JobView:
        """The job, after everything that was heard so far: what comes later is news."""
        view = await self._jobs.get(job_id)
        for _ in range(SETTLING):
            if is_terminal(view.job.status) or not await stream.some(0):
                break
            view = await self._jobs.get(job_id)
        return view

    async def _tell(self, reader: EventResponse, stream: Stream, telling: _Telling, view: JobView) -> None:
        await reader.send(telling.snapshot(view))
        await self._follow(reader, stream, telling)
        await reader.response.write_eof()

    async def _follow(self, reader: EventResponse, stream: Stream, telling: _Telling) -> None:
        clock = asyncio.get_running_loop().time
        spoke_s = clock()
        while not telling.ended:
            quiet_s = max(spoke_s + self._heartbeat_s - clock(), 0.0)
            told = await stream.some(min(telling.look_s, quiet_s))
            if told is None:
                return
            frames = telling.frames(told)
            if not told and telling.waits:
                frames = telling.moved(await self._jobs.get(telling.job_id))
            if not frames and clock() - spoke_s >= self._heartbeat_s:
                frames = COMMENT
            if frames:
                await reader.send(frames)
                spoke_s = clock()


@dataclass(slots=True)
class _Telling:
    """What was told to one reader, so that nothing is told twice in a row."""

    job_id: str
    place: Place
    keeping: Keeping
    word: str = ""
    position: int | None = None
    ended: bool = False

    @property
    def waits(self) -> bool:
        """Whether the job's place in the queue may move."""
        return self.word == STATUS[JobStatus.QUEUED]

    @property
    def look_s(self) -> float:
        """How long to listen before the job's place is looked at again: the farther from the front, the longer."""
        if not self.waits:
            return FARTHEST_LOOK_S
        return min(max((self.position or 0) / 10, LOOK_S), FARTHEST_LOOK_S)

    def snapshot(self, view: JobView) -> bytes:
        """The job as it is: the outputs before a last status, else the status and how far it is."""
        until = self.keeping.until(view.job)
        outputs = [_frame("output", contract_output(self.job_id, one, self.place, until)) for one in view.job.outputs]
        progress = [] if view.progress is None else [_frame("progress", contract_progress(view.progress))]
        return b"".join((*outputs, self._status(view.job.status, view.position), *progress))

    def moved(self, view: JobView) -> bytes:
        """The job was looked at while it waits: a status, if its place is another one."""
        return self._status(view.job.status, view.position) if view.job.status is JobStatus.QUEUED else b""

    def frames(self, told: Iterable[Told]) -> bytes:
        """What happened, in order."""
        return b"".join(self._frames(told))

    def _frames(self, told: Iterable[Told]) -> Iterator[bytes]:
        for one in told:
            if isinstance(one, Passing):
                yield from self._passing(one)
            elif isinstance(one, LoggedEvent) and one.type == OUTPUT:
                yield _frame("output", event_output(self.job_id, one, self.place, self.keeping))
            elif isinstance(one, LoggedEvent):
                status = JobStatus(one.facts["status"])
                yield self._status(status, self.position if status is JobStatus.QUEUED else None)

    def _passing(self, one: Passing) -> Iterator[bytes]:
        if one.type == PROGRESS:
            yield _frame("progress", event_progress(one.facts["progress"]))
        elif one.type == PREVIEW and one.facts.get("node_id") is not None:
            yield _frame("preview", one.facts)

    def _status(self, status: JobStatus, position: int | None) -> bytes:
        word = STATUS[status]
        if self.ended or (word, position) == (self.word, self.position):
            return b""
        self.word, self.position, self.ended = word, position, is_terminal(status)
        return _frame("status", {"status": word, "queue_position": position})


def _frame(kind: str, fields: JsonObject | dict[str, Any]) -> bytes:
    # ASCII escapes: no line end and nothing that UTF-8 cannot hold stands in the data.
    return f"event: {kind}\ndata: {json.dumps(fields, separators=(',', ':'))}\n\n".encode("ascii")
