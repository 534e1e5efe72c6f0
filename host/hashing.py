"""The hash of assets, blake3, where its library is installed (extra ``assets``). Owns that import alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

try:
    from blake3 import blake3
except ImportError:
    blake3 = None

PREFIX = "blake3:"
_STEP_BYTES = 1 << 20


class Hasher(Protocol):
    """A hash in the making."""

    def update(self, data: bytes, /) -> object:
        """Take more bytes."""
        ...

    def hexdigest(self) -> str:
        """The hash so far."""
        ...


NewHasher = Callable[[], Hasher]


def available() -> NewHasher | None:
    """What begins a hash; None without the library: then no asset has one."""
    if blake3 is None:
        return None
    return blake3


def digest_of(path: Path, new_hasher: NewHasher) -> str:
    """The hash of a file, as the Comfy API v2 writes it. Blocks."""
    hasher = new_hasher()
    with path.open("rb") as file:
        while piece := file.read(_STEP_BYTES):
            hasher.update(piece)
    return PREFIX + hasher.hexdigest()
