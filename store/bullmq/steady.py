"""A thread that goes on until it is told to stop. Owns its start and its end; what it does is its owner's."""

from __future__ import annotations

import threading
from collections.abc import Callable


class SteadyThread:
    """Runs ``work``, which looks at ``stopped`` now and then."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        """Not started yet."""
        self.stopped = threading.Event()
        self._thread = threading.Thread(target=work, name=name, daemon=True)

    def start(self) -> None:
        """From now on."""
        self._thread.start()

    def stop(self) -> None:
        """No more; blocks a moment; idempotent."""
        self.stopped.set()
        if self._thread.is_alive():
            self._thread.join()
