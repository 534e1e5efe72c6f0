"""What instances tell each other of a run as it goes on: the words of the relay that ComfyUI's sockets are made of. Pure.

A message is JSON; a picture is a frame of JSON (its length as four bytes, big-endian, comes first) and the encoded bytes. Versions may
differ: unknown fields are passed over, and what cannot be read is no word.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, cast

from .model import JsonObject

MESSAGE = "run.message"
"""The kind of a message to a socket."""
PICTURE = "run.picture"
"""The kind of a preview."""
BINARY = "\0binary"
"""The event of a binary message: no word that a node could say."""
_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class Message:
    """What a run said: ``event`` and ``data`` as ComfyUI's socket has them; for its client, or ``to_all`` sockets.

    No ``event``: the run has said all it will.
    """

    job_id: str
    event: str | None = None
    data: Any = None
    to_all: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture of a run: ``image_format`` is ``JPEG`` or ``PNG``; ``about`` is ComfyUI's metadata of it, None if it gave none."""

    job_id: str
    image_format: str
    encoded: bytes
    about: JsonObject | None = None


def binary_message(job_id: str, number: int, data: bytes, *, to_all: bool) -> Message:
    """A binary message that is no picture, for example a node's line of text."""
    return Message(job_id, BINARY, {"number": number, "base64": base64.b64encode(data).decode("ascii")}, to_all)


def binary_of(message: Message) -> tuple[int, bytes] | None:
    """The number and the bytes of a binary message; None for any other, and for one that cannot be read."""
    if message.event != BINARY:
        return None
    fields = cast("JsonObject", message.data)
    try:
        return int(fields["number"]), base64.b64decode(fields["base64"], validate=True)
    except (KeyError, TypeError, ValueError):
        return None


def message_body(message: Message) -> bytes:
    """A message as bytes. ``ValueError``, ``TypeError`` or ``RecursionError`` for what JSON cannot say."""
    fields = {"job_id": message.job_id, "event": message.event, "data": message.data, "to_all": message.to_all}
    return json.dumps(fields).encode("utf-8", "surrogatepass")


def read_message(body: bytes) -> Message | None:
    """The message in these bytes, or None."""
    fields = _object(body)
    if fields is None or not isinstance(fields.get("job_id"), str):
        return None
    event = fields.get("event")
    return Message(
        fields["job_id"], event if isinstance(event, str) else None, fields.get("data"), fields.get("to_all") is True
    )


def preview_body(preview: Preview) -> bytes:
    """A picture as bytes."""
    fields = {"job_id": preview.job_id, "image_format": preview.image_format, "about": preview.about}
    head = json.dumps(fields, default=str).encode()
    return len(head).to_bytes(_LENGTH_BYTES, "big") + head + preview.encoded


def read_preview(body: bytes) -> Preview | None:
    """The picture in these bytes, or None."""
    start = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES], "big")
    fields = _object(body[_LENGTH_BYTES:start])
    if fields is None or not isinstance(fields.get("job_id"), str) or fields.get("image_format") not in ("JPEG", "PNG"):
        return None
    about = fields.get("about")
    known = cast("JsonObject", about) if isinstance(about, dict) else None
    return Preview(fields["job_id"], fields["image_format"], body[start:], known)


def _object(body: bytes) -> JsonObject | None:
    try:
        fields: Any = json.loads(body.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None
    return cast("JsonObject", fields) if isinstance(fields, dict) else None
