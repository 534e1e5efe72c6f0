"""Reading a multipart upload as it comes: the file's bytes go on at once, the texts are few and short.

Owns the form of the body. What the texts mean is ``intake.asset_uploads``'.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from ...intake.asset_uploads import Described, Upload, described, too_large
from ...intake.v2.refusals import INVALID_REQUEST, ContractRefusal

FILE = "file"
TAGS = "tags"
FIELDS = frozenset({"content_type", "file_path", "expected_hash", "expires_in"})
MOST_PARTS = 100
MOST_TEXT_BYTES = 8_192
OVERHEAD_BYTES = 1_048_576
"""What a body may be larger than its file: headers and texts."""
TEXT_STEP_BYTES = 512
READ_BYTES = 262_144
WRITE_BYTES = 1_048_576
PLAIN_ENCODINGS = frozenset({"binary", "8bit", "7bit"})

# What aiohttp lets through of broken parts, and of clients that go away.
_BROKEN = (
    ValueError,
    AssertionError,
    LookupError,
    RuntimeError,
    EOFError,
    zlib.error,
    HttpProcessingError,
    web.RequestPayloadError,
)


@dataclass(slots=True)
class _Texts:
    """The texts so far."""

    fields: dict[str, str] = field(default_factory=lambda: {})
    tags: list[str] = field(default_factory=lambda: [])

    def add(self, name: str, text: str) -> None:
        if name == TAGS:
            self.tags.append(text)
        elif name in self.fields:
            raise _malformed(f"The part {name} is given twice.")
        elif name in FIELDS:
            self.fields[name] = text


async def read_upload(request: web.Request, upload: Upload, *, max_bytes: int, idle_s: float) -> Described:
    """Fill ``upload`` with the file and return what is said of it, checked. Parts that the contract does not know are passed over.

    ``idle_s`` bounds the wait for more bytes. Raises ``ContractRefusal`` and ``LimitExceeded``.
    """
    if request.content_type != "multipart/form-data":
        raise _malformed("The body must be multipart/form-data with the parts file, content_type and file_path.")
    if request.content_length is not None and request.content_length > max_bytes + OVERHEAD_BYTES:
        raise too_large(max_bytes)
    texts = _Texts()
    with _faults_told(idle_s):
        async for part in _parts(request, idle_s):
            await _read_part(part, upload, texts, idle_s)
    return described(texts.fields, texts.tags, named=True)


@contextmanager
def _faults_told(idle_s: float) -> Generator[None]:
    try:
        yield
    except ContractRefusal:
        raise
    except (asyncio.TimeoutError, TimeoutError):
        raise _malformed(f"No more bytes came for {idle_s:g} s.") from None
    except ConnectionError as error:
        raise _malformed("The body ended early.") from error
    except _BROKEN as error:
        raise _malformed("The body is no multipart form, or ended early.") from error


async def _parts(request: web.Request, idle_s: float) -> AsyncIterator[BodyPartReader]:
    reader = await request.multipart()
    for _ in range(MOST_PARTS):
        part = await asyncio.wait_for(reader.next(), idle_s)
        if part is None:
            return
        if isinstance(part, MultipartReader) or part.name is None:
            raise _malformed("Every part must have a name and be none of several parts itself.")
        yield part
    raise _malformed(f"There are more than {MOST_PARTS} parts.")


async def _read_part(part: BodyPartReader, upload: Upload, texts: _Texts, idle_s: float) -> None:
    encoding = part.headers.get("Content-Transfer-Encoding", "binary").lower()
    if encoding not in PLAIN_ENCODINGS or "Content-Encoding" in part.headers:
        raise _malformed("Parts must be sent as they are, without an encoding of their own.")
    if part.name == FILE:
        await _read_file(part, upload, idle_s)
        return
    data = bytearray()
    # In small steps: aiohttp asks for a second step before it gives the first, and a large one would wait for the file.
    async for piece in _pieces(part, TEXT_STEP_BYTES, idle_s):
        data += piece
        if len(data) > MOST_TEXT_BYTES:
            raise _malformed(f"A part that is no file may have {MOST_TEXT_BYTES} bytes.")
    try:
        texts.add(part.name or "", data.decode("utf-8"))
    except UnicodeDecodeError:
        raise _malformed("A part that is no file must be text in UTF-8.") from None


async def _read_file(part: BodyPartReader, upload: Upload, idle_s: float) -> None:
    await upload.begin()
    held = bytearray()
    async for piece in _pieces(part, READ_BYTES, idle_s):
        held += piece
        if len(held) >= WRITE_BYTES:
            await upload.write(bytes(held))
            held.clear()
    await upload.write(bytes(held))


async def _pieces(part: BodyPartReader, size_bytes: int, idle_s: float) -> AsyncIterator[bytes]:
    while piece := await asyncio.wait_for(part.read_chunk(size_bytes), idle_s):
        yield piece


def _malformed(message: str) -> ContractRefusal:
    return ContractRefusal(INVALID_REQUEST, message, malformed=True)
