"""``/expeditor/peer/*``: what the instances of one queue ask of each other, about files and prompts. No part of the public API.

Who does not show the members' secret hears 401; a server that stands alone has no such routes. Owns parsing and answers; what is
done is the other rooms' (``PeerFiles``, ``Arrivals``).
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Protocol

from aiohttp import web

from ..jobs.errors import InputInvalid, NotFound, Unauthenticated
from ..jobs.leftovers import FileName
from ..jobs.parcels import (
    InputFile,
    Landing,
    Offer,
    file_from,
    input_json,
    landing_json,
    names_from,
    number_from,
    offer_from,
)
from ..jobs.questions import Answer, Question, answer_json, question_from
from ..jobs.waits import Picture
from .errors import Handler, boundary
from .fields import read_object
from .outputs import PlainFile

SECRET_HEADER = "X-Expeditor-Peer"  # noqa: S105 - the name of a header
MTIME_HEADER = "X-Expeditor-Mtime-Ns"
BODY_MAX_BYTES = 4 * 1024 * 1024
CHUNK_BYTES = 1 << 18


class PeerFiles(Protocol):
    """The files of this instance; ``host.desk`` fits. Blocks."""

    def find(self, job_id: str, file: FileName) -> Path | None:
        """The bytes of a file by its name at home."""
        ...

    def inputs(self, names: tuple[str, ...]) -> tuple[InputFile, ...]:
        """Those of these names that a file of the input folder has."""
        ...


class Incoming(Protocol):
    """One stream of bytes; ``host.landing`` fits. Blocks."""

    def write(self, chunk: bytes) -> None:
        """Add to it."""
        ...

    def end(self) -> Landing:
        """No more comes now."""
        ...

    def close(self) -> None:
        """In any case."""
        ...


class Arrivals(Protocol):
    """Where results of others come down; ``host.landing`` fits. Blocks."""

    def look(self, offer: Offer) -> Landing:
        """What is here of it."""
        ...

    def receive(self, offer: Offer, offset: int) -> Incoming:
        """Take its bytes from ``offset`` on."""
        ...


class Collects(Protocol):
    """Takes results out of the bucket; ``host.collecting`` fits."""

    async def collect(self, offer: Offer) -> Landing:
        """Have an uploaded file land: how far it is after a moment."""
        ...


Secret = Callable[[bool], str]
"""What members show; True: as it is now, and not as it was known. Blocks; raises what keeps the shared store from answering."""


class PeerRoutes:
    """The handlers. Errors are raised and rendered by the boundary."""

    def __init__(self, files: PeerFiles, arrivals: Arrivals, secret: Secret, mail: Collects) -> None:
        """See the ports."""
        self._files = files
        self._arrivals = arrivals
        self._secret = secret
        self._mail = mail

    async def offer(self, request: web.Request) -> web.Response:
        """What is here of a file that somebody has to send."""
        offer = offer_from(await read_object(request, max_bytes=BODY_MAX_BYTES))
        return web.json_response(landing_json(await asyncio.to_thread(self._arrivals.look, offer)))

    async def receive(self, request: web.Request) -> web.Response:
        """The bytes of an offered file, from ``offset`` on."""
        offer, offset = offer_from(request.query), number_from(request.query, "offset")
        incoming = await asyncio.to_thread(self._arrivals.receive, offer, offset)
        try:
            async for chunk in request.content.iter_chunked(CHUNK_BYTES):
                await asyncio.to_thread(incoming.write, chunk)
            landing = await asyncio.to_thread(incoming.end)
        except (web.RequestPayloadError, ConnectionError):
            raise InputInvalid("The bytes were cut off.", malformed=True) from None
        finally:
            incoming.close()
        return web.json_response(landing_json(landing))

    async def collect(self, request: web.Request) -> web.Response:
        """A file that its maker has put into the bucket."""
        offer = offer_from(await read_object(request, max_bytes=BODY_MAX_BYTES))
        return web.json_response(landing_json(await self._mail.collect(offer)))

    async def content(self, request: web.Request) -> web.StreamResponse:
        """The bytes of a file, with Range."""
        file = file_from(request.query)
        path = await asyncio.to_thread(self._files.find, request.query.get("job_id", ""), file)
        if path is None:
            raise NotFound(f"There is no file {file.name} here.")
        mtime_ns = (await asyncio.to_thread(path.stat)).st_mtime_ns
        return PlainFile(path, headers={MTIME_HEADER: str(mtime_ns), "Content-Type": "application/octet-stream"})

    async def inputs(self, request: web.Request) -> web.Response:
        """Which of these names are files of the input folder here, with size and hash."""
        names = names_from(await read_object(request, max_bytes=BODY_MAX_BYTES))
        found = await asyncio.to_thread(self._files.inputs, names)
        return web.json_response({"files": [input_json(file) for file in found]})

    def guarded(self, handler: Handler) -> Handler:
        """The handler behind the secret."""

        @wraps(handler)
        async def checked(request: web.Request) -> web.StreamResponse:
            shown = request.headers.get(SECRET_HEADER, "").encode()
            # It was made anew if the shared store was emptied.
            if not (shown and (await self._is_known(shown, False) or await self._is_known(shown, True))):
                raise Unauthenticated("This is for members of the queue.")
            return await handler(request)

        return checked

    async def _is_known(self, shown: bytes, fresh: bool) -> bool:
        return hmac.compare_digest(shown, (await asyncio.to_thread(self._secret, fresh)).encode())


class Verdicts(Protocol):
    """What this instance says of prompts of others; ``intake.abroad.ForOthers`` fits."""

    async def answer(self, question: Question) -> Answer:
        """May this run here?"""
        ...


class PeerVerdicts:
    """The handler of questions about prompts."""

    def __init__(self, verdicts: Verdicts, *, max_bytes: int) -> None:
        """``max_bytes`` bounds a question."""
        self._verdicts = verdicts
        self._max_bytes = max_bytes

    async def validate(self, request: web.Request) -> web.Response:
        """May this prompt run here, and if so, in which form? A refusal is an answer too, with status 200."""
        question = question_from(await read_object(request, max_bytes=self._max_bytes))
        return web.json_response(answer_json(await self._verdicts.answer(question)))


class WaitPictures(Protocol):
    """The pictures of waits of this instance; ``events.mailbox.Mailbox`` fits. Blocks."""

    def picture(self, token: str, number: int) -> Picture:
        """One of an open wait's pictures; ``NotFound`` or ``Gone`` for others."""
        ...


class PeerPictures:
    """The handler of pictures that nodes here show while they wait."""

    def __init__(self, pictures: WaitPictures) -> None:
        """See the port."""
        self._pictures = pictures

    async def picture(self, request: web.Request) -> web.Response:
        """The bytes of one."""
        token, number = request.query.get("token", ""), number_from(request.query, "number")
        picture = await asyncio.to_thread(self._pictures.picture, token, number)
        return web.Response(body=picture.data, content_type=picture.content_type)


def peer_table(
    routes: PeerRoutes, verdicts: PeerVerdicts | None = None, pictures: PeerPictures | None = None
) -> tuple[web.RouteDef, ...]:
    """Method, path and handler of every route."""
    rows = [(method, path, getattr(routes, name)) for method, path, name in _ROWS]
    if verdicts is not None:
        rows.append(("POST", "/expeditor/peer/validate", verdicts.validate))
    if pictures is not None:
        rows.append(("GET", "/expeditor/peer/wait-pictures", pictures.picture))
    return tuple(web.route(method, path, boundary(routes.guarded(handler))) for method, path, handler in rows)


_ROWS: tuple[tuple[str, str, str], ...] = (
    ("POST", "/expeditor/peer/offer", "offer"),
    ("PUT", "/expeditor/peer/files", "receive"),
    ("POST", "/expeditor/peer/collect", "collect"),
    ("GET", "/expeditor/peer/files", "content"),
    ("POST", "/expeditor/peer/inputs", "inputs"),
)
