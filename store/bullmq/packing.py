"""The binary form in which scripts are told what to do. Owns the one call into msgpack."""

from __future__ import annotations

from typing import Any, cast

import msgpack

_msgpack: Any = msgpack  # comes without complete types


def packed(value: Any) -> bytes:
    """As Redis' ``cmsgpack`` reads it: it knows no difference between bytes and text."""
    return cast("bytes", _msgpack.packb(value, use_bin_type=False))
