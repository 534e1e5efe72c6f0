"""Which life this instance had before this one: a file with its ``boot_id``, under a lock that ends with the process.

With it an instance that was killed and comes back takes its own name over at once, instead of waiting until the others have given its
last life up. Owns these two files. Blocks.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from ..jobs.errors import StoreUnavailable
from ..store.lockfile import LockFile

log = logging.getLogger("expeditor.runtime")

FILE, LOCK = "instance.life", "instance.lock"
LONGEST = 200


class Lives:
    """Fits ``membership.Lives``. What cannot be read or written is as if it were not known."""

    def __init__(self, folder: Path, name: str) -> None:
        """Touches nothing yet. Instances that share a folder have files of their own, by ``name``."""
        self._file = folder / f"{name}.{FILE}"
        self._lock_path = folder / f"{name}.{LOCK}"
        self._lock: LockFile | None = None

    def before(self) -> str | None:
        """The life that is over for certain; None when another process may live it."""
        if self._lock is None:
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._lock = LockFile(self._lock_path)
            except (StoreUnavailable, OSError):
                return None
        with suppress(OSError):
            return self._file.read_text(encoding="utf-8")[:LONGEST].strip() or None
        return None

    def begin(self, boot_id: str) -> None:
        """From now on it is this one."""
        if self._lock is None:
            return
        try:
            self._file.write_text(boot_id, encoding="utf-8")
        except OSError as error:
            log.debug("This life cannot be written down: %s", error)

    def close(self) -> None:
        """Let go of the lock; for tests, a process just ends."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
