"""The most memory a process held while something ran. Reads the system's own figure, a thousand times a second."""

from __future__ import annotations

import threading
from types import TracebackType

import psutil

EVERY_S = 0.001


class PeakMemory:
    """As a context manager: `above_bytes` is how far resident memory rose above what it was on entry."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._base = self._peak = 0

    @property
    def above_bytes(self) -> int:
        """So far, or of the whole when it is over."""
        return self._peak - self._base

    def __enter__(self) -> PeakMemory:
        self._base = self._peak = self._process.memory_info().rss
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._over.wait(EVERY_S):
            self._peak = max(self._peak, self._process.memory_info().rss)
