"""Room on the disk for files of other instances: asked for before they are taken, and what the disk says when it takes no more.

Owns these words, and for how long ``/expeditor/health`` tells the last of them. Does not own the files (``landing``).
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import time
from collections.abc import Callable, Generator
from pathlib import Path

from ..jobs.errors import StoreUnavailable

RETRY_AFTER_S = 30
TOLD_FOR_S = 60.0
"""Whoever has something to send tries every few seconds: a fault that was not heard of for so long is over, or nobody's any more."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Room:
    """See the module's docstring. Any thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """There is room as far as is known."""
        self._monotonic = monotonic
        self._last: tuple[float, str] | None = None

    def fault(self) -> str | None:
        """Why files of others could not be stored here the last time, or None."""
        last = self._last
        return last[1] if last is not None and last[0] + TOLD_FOR_S > self._monotonic() else None

    def was_enough(self) -> None:
        """A file was stored: whatever was said before is over."""
        self._last = None

    def ask(self, folder: Path, size_bytes: int) -> None:
        """Raise ``StoreUnavailable`` unless so many bytes may come into this folder: not after most of them have travelled."""
        with contextlib.suppress(OSError):
            free_bytes = shutil.disk_usage(folder).free
            if free_bytes < size_bytes:
                raise self._refused(_refusal(f"it needs {size_bytes} bytes and {free_bytes} are free"))

    @contextlib.contextmanager
    def taken(self, part: Path | None = None) -> Generator[None, None, None]:
        """Around what is written, as ``room``; what goes wrong is remembered."""
        try:
            with room(part):
                yield
        except StoreUnavailable as refusal:
            self._refused(refusal)
            raise

    def _refused(self, refusal: StoreUnavailable) -> StoreUnavailable:
        self._last = (self._monotonic(), refusal.message)
        return refusal


@contextlib.contextmanager
def room(part: Path | None = None) -> Generator[None, None, None]:
    """Around what is written: says plainly that the disk takes no more; a full disk is rid of ``part``. Raises ``StoreUnavailable``."""
    try:
        yield
    except OSError as fault:
        if part is not None and fault.errno in _FULL:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        raise _refusal(fault.strerror or type(fault).__name__) from fault


def _refusal(why: str) -> StoreUnavailable:
    return StoreUnavailable(f"The file cannot be stored here: {why}.", retry_after_s=RETRY_AFTER_S)
