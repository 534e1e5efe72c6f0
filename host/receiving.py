"""One upload on its way to the disk: a file of its own until it is whole. Blocks; meant for other threads than the event loop's.

Owns the writing, the hash and the sync. Where the file goes then is ``input_files``'.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from ..jobs.errors import StoreUnavailable
from .hashing import PREFIX, NewHasher

_NO_ROOM = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG})


class Receiving:
    """Bytes that arrive. Fits ``intake.asset_ports.Receiving``."""

    def __init__(self, path: Path, new_hasher: NewHasher | None) -> None:
        """Makes the file, which must not be there."""
        self._path = path
        self.size_bytes = 0
        self._hasher = None if new_hasher is None else new_hasher()
        try:
            self._file = path.open("xb", buffering=0)
        except OSError as fault:
            raise unwritable(fault) from fault

    @property
    def path(self) -> Path:
        """Its own file."""
        return self._path

    @property
    def hash(self) -> str | None:
        """``blake3:<hex>`` of what has arrived, or None where that is not possible."""
        return None if self._hasher is None else PREFIX + self._hasher.hexdigest()

    def write(self, data: bytes) -> None:
        """Take more bytes. Raises ``StoreUnavailable`` when the disk does not."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as fault:
            raise unwritable(fault) from fault
        if self._hasher is not None:
            self._hasher.update(data)
        self.size_bytes += len(data)

    def close(self) -> None:
        """All has arrived: it is on the disk when this returns. Raises ``StoreUnavailable``."""
        try:
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as fault:
            raise unwritable(fault) from fault

    def discard(self) -> None:
        """Leave nothing behind; idempotent."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def unwritable(fault: OSError) -> StoreUnavailable:
    """What a client is told of a disk that takes nothing: no path, which is not its business."""
    if fault.errno in _NO_ROOM:
        return StoreUnavailable("The disk of ComfyUI's input folder is full. Nothing was stored.", retry_after_s=30)
    why = fault.strerror or type(fault).__name__
    return StoreUnavailable(f"ComfyUI's input folder cannot be written: {why}. Nothing was stored.", retry_after_s=30)
