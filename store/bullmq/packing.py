"""The binary form of records, and in which scripts are told what to do, and answer. Owns the calls into msgpack."""

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


def text_packed(value: Any) -> bytes:
    """For ourselves, who tell text from bytes; also text of half a surrogate pair. ``OverflowError`` for integers beyond 64 bits."""
    return text_packer()(value)


def text_packer() -> Callable[[Any], bytes]:
    """The same for one thread, which packs often."""
    return cast("Callable[[Any], bytes]", _msgpack.Packer(unicode_errors="surrogatepass").pack)


def text_unpacked(value: bytes) -> Any:
    """What ``text_packed`` packed; tuples are lists. ``ValueError`` for what it never would."""
    return _msgpack.unpackb(value, unicode_errors="surrogatepass")
