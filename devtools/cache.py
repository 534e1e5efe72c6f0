"""Where the tool keeps what it installs, and how it knows that an installation is whole.

Owns the folder layout, the stamps (one per installed thing, written last and atomically, so that a set-up killed half-way
is simply done again) and the lock between two set-ups. Does not install anything.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .console import SetupError, say

LOCK_POLL_S = 0.5


def user_cache_dir(environ: Mapping[str, str], platform: str, home: Path) -> Path:
    """EXPEDITOR_CACHE_DIR, else the operating system's place for caches plus `expeditor`."""
    if named := environ.get("EXPEDITOR_CACHE_DIR"):
        return Path(named).expanduser().absolute()
    if platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "expeditor"
    if platform == "darwin":
        return home / "Library" / "Caches" / "expeditor"
    return Path(environ.get("XDG_CACHE_HOME") or home / ".cache") / "expeditor"


def digest(*parts: str) -> str:
    """A short name for exactly these texts in this order."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Cache:
    """The cache folder: `venv`, `venv-fast`, `comfyui`, `node`, `downloads`, `data`, `logs`."""

    root: Path

    @classmethod
    def of_user(cls) -> Cache:
        """The cache of whoever runs this process."""
        return cls(user_cache_dir(os.environ, sys.platform, Path.home()))

    def folder(self, name: str) -> Path:
        """The named folder, made if need be; SetupError where that is not possible."""
        path = self.root / name
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            text = (
                f"cannot write to the cache folder {path}: {fault.strerror}. EXPEDITOR_CACHE_DIR can name another one."
            )
            raise SetupError(text) from fault
        return path

    @contextmanager
    def lock(self) -> Generator[None]:
        """Only one set-up at a time; the operating system lets go of the lock if its holder is killed."""
        path = self.folder(".") / "setup.lock"
        with path.open("a+", encoding="utf-8") as file:
            told = False
            while not try_lock(file):
                if not told:
                    say(f"... another set-up is at work on {self.root} (process {_holder(path)}); waiting for it")
                    told = True
                time.sleep(LOCK_POLL_S)
            file.seek(0)
            file.truncate()
            file.write(str(os.getpid()))
            file.flush()
            # An installer inherits the lock: if we are killed and it goes on, the next set-up waits for its end.
            os.set_inheritable(file.fileno(), True)
            try:
                yield
            finally:
                _unlock(file)


@dataclass(frozen=True)
class Stamp:
    """Says that a folder holds exactly what `wanted` stands for. It lies inside, so deleting the folder deletes it."""

    folder: Path
    wanted: str

    @property
    def _path(self) -> Path:
        return self.folder / ".expeditor-stamp"

    def valid(self) -> bool:
        """Whether the last installation was finished and was this one."""
        try:
            return self._path.read_text(encoding="utf-8").strip() == self.wanted
        except OSError:
            return False

    def remove(self) -> None:
        """Before the first change of the folder: from here on it is not whole."""
        self._path.unlink(missing_ok=True)

    def write(self) -> None:
        """After the last change of the folder."""
        part = self._path.with_suffix(".part")
        part.write_text(self.wanted + "\n", encoding="utf-8")
        part.replace(self._path)


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() or "unknown"
    except OSError:  # Windows does not let others read a locked file
        return "unknown"


if sys.platform == "win32":
    import msvcrt

    def try_lock(file: IO[str]) -> bool:
        """Whether this process now holds the lock of an open file."""
        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(file: IO[str]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(file: IO[str]) -> bool:
        """Whether this process now holds the lock of an open file."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _unlock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
