"""An exclusive lock between processes: one file that names its holder's process id.

Owns the operating system's lock, which ends with its process however that ends, so no stale lock can be left behind;
the file itself stays. Threads of one process exclude each other too.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..jobs.errors import StoreUnavailable

if sys.platform == "win32":
    import msvcrt

    # Windows' locks keep others from reading what is locked, and the pid must be readable: lock a byte far behind it.
    _LOCKED_BYTE = 1 << 20

    def _acquire(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _acquire(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_PID_BYTES = 32


class LockFile:
    """The lock at ``path``, held from construction until ``release``."""

    def __init__(self, path: Path) -> None:
        """Take the lock without waiting. ``StoreUnavailable`` that names the holder's pid when another one has it."""
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as fault:
            raise StoreUnavailable(f"The lock file {path} cannot be opened: {fault.strerror}.") from fault
        try:
            _acquire(self._descriptor)
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, str(os.getpid()).encode("ascii"))
        except OSError as fault:
            holder = self._holder()
            os.close(self._descriptor)
            raise StoreUnavailable(_refusal(path, holder, fault)) from fault

    def release(self) -> None:
        """Let go."""
        os.close(self._descriptor)

    def _holder(self) -> str:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, _PID_BYTES).decode("ascii", "replace").strip()


def _refusal(path: Path, holder: str, fault: OSError) -> str:
    if not isinstance(fault, (BlockingIOError, PermissionError)):
        return f"The lock file {path} cannot be locked: {fault.strerror}."
    return f"{path.parent} is in use by process {holder or 'unknown'}, which holds {path.name}."
