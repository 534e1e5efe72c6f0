"""The binary form in which scripts are told what to do, and answer. Owns the calls into msgpack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgpack

_msgpack: Any = msgpack  # comes without complete types


def packed(value: Any) -> bytes:
    """As Redis' ``cmsgpack`` reads it: it knows no difference between bytes and text."""
    return cast("bytes", _msgpack.packb(value, use_bin_type=False))


def packer() -> Callable[[Any], bytes]:
    """The same for one thread, which packs often: its buffer is made once."""
    return cast("Callable[[Any], bytes]", _msgpack.Packer(use_bin_type=False).pack)


def unpacked(value: bytes) -> Any:
    """What ``cmsgpack`` packed: text is bytes, and what is not there is False. ``ValueError`` for what it never would."""
    return _msgpack.unpackb(value, raw=True)
