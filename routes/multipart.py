"""A submit with its input files in one multipart body: fields as text, files streamed on as they come.

Owns the reading, part by part, and the faults of a body that cannot be read. Does not own what becomes of the files
(``intake.uploads``), nor what the fields mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Generator
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol

from aiohttp import BodyPartReader, hdrs, web

from ..intake.faults import pointer, short
from ..jobs.errors import Fault, InputInvalid, InvalidJson, LimitExceeded
from .fields import BROKEN_FORM, decoded

CHUNK_BYTES = 1 << 18
MAX_PARTS = 256
IDLE_S = 60.0
"""How long a client may send nothing: one that is gone without a word must not leave its files behind for ever."""
MULTIPART = "multipart/form-data"
_PLAIN_ENCODINGS = ("", "binary", "8bit", "7bit", "identity")


class Receiver(Protocol):
    """Takes files in; ``intake.uploads`` fits."""

    async def receive(self, part: str, filename: str | None, chunks: AsyncIterator[bytes]) -> None:
        """One file."""
        ...


async def read_parts(
    request: web.Request,
    receiver: Receiver,
    *,
    is_file: Callable[[str], bool],
    max_bytes: int,
    json_fields: Collection[str],
    idle_s: float = IDLE_S,
) -> dict[str, Any]:
    """The body's fields, as ``fields.read_fields`` gives them; the parts that ``is_file`` names went to ``receiver``.

    ``max_bytes`` bounds all fields together, ``idle_s`` the wait for more bytes. Raises as ``read_fields``, and what ``receiver`` raises.
    """
    with _faults_told(idle_s):
        return decoded(await _Parts(receiver, is_file, max_bytes, idle_s).read(request), json_fields)


@contextmanager
def _faults_told(idle_s: float) -> Generator[None, None, None]:
    try:
        yield
    except asyncio.TimeoutError as error:
        raise InputInvalid(f"No more bytes came for {idle_s:g} s.", malformed=True) from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise InvalidJson("The body ended early, or its Content-Encoding does not fit.") from error
    except BROKEN_FORM as error:
        raise InputInvalid("The form cannot be read.", faults=(_fault("", "The form is malformed."),)) from error


class _Parts:
    """One body being read."""

    def __init__(self, receiver: Receiver, is_file: Callable[[str], bool], max_bytes: int, idle_s: float) -> None:
        self._receiver = receiver
        self._is_file = is_file
        self._idle_s = idle_s
        self._left_bytes = self._max_bytes = max_bytes
        self._fields: dict[str, str] = {}

    async def read(self, request: web.Request) -> dict[str, str]:
        count = 0
        reader = await request.multipart()
        while (part := await asyncio.wait_for(reader.next(), self._idle_s)) is not None:
            count += 1
            if count > MAX_PARTS:
                raise LimitExceeded(
                    f"The form has more than {MAX_PARTS} parts.", details={"max_parts": MAX_PARTS}, too_large=True
                )
            if not isinstance(part, BodyPartReader) or part.name is None:
                _refuse("", "Each part of the form must be a field or a file with a name.")
            await self._take(part, part.name)
        return self._fields

    async def _take(self, part: BodyPartReader, name: str) -> None:
        if any(
            part.headers.get(header, "").lower() not in _PLAIN_ENCODINGS
            for header in (hdrs.CONTENT_ENCODING, hdrs.CONTENT_TRANSFER_ENCODING)
        ):
            _refuse(name, f"{short(name)} is sent encoded; send it as it is.")
        if self._is_file(name):
            await self._receiver.receive(name, part.filename, _chunks(part, self._idle_s))
            return
        if name in self._fields:
            _refuse(name, f"{short(name)} is given twice.")
        self._fields[name] = await self._text(part, name)

    async def _text(self, part: BodyPartReader, name: str) -> str:
        text = bytearray()
        async for chunk in _chunks(part, self._idle_s):
            self._left_bytes -= len(chunk)
            if self._left_bytes < 0:
                message = f"The fields of the form are larger than {self._max_bytes} bytes."
                raise LimitExceeded(message, details={"max_bytes": self._max_bytes}, too_large=True)
            text += chunk
        charset = part.get_charset("utf-8")
        try:
            return text.decode(charset)
        except UnicodeDecodeError as error:
            message = f"{short(name)} must be {charset.upper()} text."
            raise InputInvalid(message, faults=(_fault(name, message),)) from error


async def _chunks(part: BodyPartReader, idle_s: float) -> AsyncIterator[bytes]:
    while chunk := await asyncio.wait_for(part.read_chunk(CHUNK_BYTES), idle_s):
        yield chunk


def _refuse(name: str, message: str) -> NoReturn:
    raise InputInvalid(message, faults=(_fault(name, message),))


def _fault(name: str, message: str) -> Fault:
    return Fault(pointer=pointer(short(name)) if name else "", code=InputInvalid.code, message=message)
