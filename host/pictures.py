"""Previews as ComfyUI hands them to its sockets, and what is told of one.

Owns the shapes of its binary messages and the encoding. Does not own who wants to see one, nor how often.
"""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from ..jobs.model import JsonObject
from .sanitise import fields_of

log = logging.getLogger("expeditor.host")

ENCODED, BARE, WITH_METADATA = 1, 2, 4
"""ComfyUI's numbers of messages with a picture: bytes that begin with the format; ``(format, image, max_size)``; that and a dict."""
MOST_BYTES = 1024 * 1024
QUALITY = 85
_FORMATS = {1: "image/jpeg", 2: "image/png"}


@dataclass(frozen=True, slots=True)
class Picture:
    """One preview, not encoded yet. ``job_id`` and ``node_id`` are None where ComfyUI does not say whose it is."""

    data: Any
    job_id: str | None = None
    node_id: str | None = None


class ReadyImage:
    """A picture that is encoded already, in place of one that ComfyUI would encode as it sends it."""

    def __init__(self, raw: bytes) -> None:
        """``raw``: the encoded picture."""
        self._raw = raw

    def save(self, file: Any, **_how: Any) -> None:
        """As an image's own ``save``, whatever is asked of format and quality."""
        file.write(self._raw)


def ready(image_format: str, raw: bytes) -> tuple[str, ReadyImage, None]:
    """An encoded picture as ComfyUI hands pictures to its sockets."""
    return image_format, ReadyImage(raw), None


def is_ready(data: object) -> bool:
    """Whether this is a binary message with a picture that was encoded elsewhere: no run of this machine shows it."""
    if not isinstance(data, tuple):
        return False
    parts = cast("tuple[Any, ...]", data)
    image = cast("tuple[Any, ...]", parts[0]) if len(parts) == 2 and isinstance(parts[0], tuple) else parts
    return len(image) == 3 and isinstance(image[1], ReadyImage)


def metadata_of(event: object, data: object) -> JsonObject | None:
    """What ComfyUI says of a picture, a copy; None where it says nothing."""
    if event != WITH_METADATA or not isinstance(data, tuple):
        return None
    parts = cast("tuple[Any, ...]", data)
    return dict(fields_of(parts[1])) if len(parts) == 2 else None


def picture_of(event: object, data: object) -> Picture | None:
    """The preview in a binary message, or None if it has none."""
    if event in (ENCODED, BARE):
        return Picture(data)
    if event != WITH_METADATA or not isinstance(data, tuple):
        return None
    parts = cast("tuple[Any, ...]", data)
    if len(parts) != 2 or not isinstance(parts[1], Mapping):
        return None
    whose = cast("Mapping[str, Any]", parts[1])
    return Picture(parts[0], _text(whose.get("prompt_id")), _text(whose.get("node_id")))


def preview_facts(picture: Picture, node_id: str | None) -> JsonObject | None:
    """What is told: ``node_id``, ``content_type`` and the picture as base64 text; None for one that cannot be read or is too large."""
    try:
        content_type, raw = encoded(picture.data)
    except Exception as error:  # noqa: BLE001 - what a node hands over may be anything, and must not fail it
        log.debug("A preview could not be encoded: %s", error)
        return None
    if len(raw) > MOST_BYTES:
        return None
    shown = base64.b64encode(raw).decode("ascii")
    return {"node_id": picture.node_id or node_id, "content_type": content_type, "data_base64": shown}


def encoded(data: Any) -> tuple[str, bytes]:
    """A picture's content type and its bytes. Raises whatever the picture's own code does."""
    if isinstance(data, (bytes, bytearray)):
        return _FORMATS[int.from_bytes(data[:4], "big")], bytes(data[4:])
    name, image, max_size = data
    if max_size is not None:
        image = image.copy()
        image.thumbnail((max_size, max_size))
    written = io.BytesIO()
    image.save(written, format=name, quality=QUALITY)
    return "image/png" if name == "PNG" else "image/jpeg", written.getvalue()


def _text(value: object) -> str | None:
    return None if value is None else str(value)
