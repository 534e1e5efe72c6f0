"""The cursor of an event on the wire: opaque text for a position of the event log. Pure."""

from __future__ import annotations

import base64
import binascii

from .errors import Fault, InputInvalid

_PREFIX = b"event:"
_DIGITS_MAX = 18


def cursor_of(position: int) -> str:
    """The text that a client keeps."""
    return base64.urlsafe_b64encode(_PREFIX + str(position).encode("ascii")).decode("ascii")


def position_of(text: str, name: str = "after") -> int:
    """The position that a cursor stands for; ``InputInvalid`` when it is not one that we gave. ``name``: the input's."""
    try:
        plain = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        plain = b""
    digits = plain.removeprefix(_PREFIX)
    if digits == plain or not digits.isdigit() or len(digits) > _DIGITS_MAX:
        message = "The cursor is not one that this server gave."
        hint = "Take the id of the last event that you have, or leave it out."
        raise InputInvalid(message, faults=(Fault(f"/{name}", InputInvalid.code, message, hint=hint, input_name=name),))
    return int(digits)
