"""ComfyUI's input folder, for files that come with a submit: staged outside of it, put in whole, never over another file.

Owns the writing and the names that are taken. Does not own what a file is called (``intake.upload_names``), nor when it goes
(``intake.uploads``, ``runtime.keeper``).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Generator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..jobs.errors import StoreUnavailable
from ..jobs.leftovers import INPUT
from .files import Folders

_BLOCK_BYTES = 1 << 20
_MOST_NAMESAKES = 100
RETRY_AFTER_S = 60


@dataclass(frozen=True, slots=True)
class Placed:
    """A file in the input folder; ``fresh``: it was not there before."""

    name: str
    fresh: bool


class StagedFile:
    """A file that is being received. Blocks; one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Makes the file, which must be new. Raises ``OSError``."""
        self.path = path
        self._hash = hashlib.sha256()
        self._file = path.open("xb")

    def write(self, chunk: bytes) -> None:
        """Add to it. Raises ``StoreUnavailable`` when the disk takes no more."""
        with _room():
            self._file.write(chunk)
        self._hash.update(chunk)

    def digest(self) -> str:
        """It is whole: its SHA-256, hexadecimal. Raises ``StoreUnavailable``."""
        with _room():
            self._file.close()
        return self._hash.hexdigest()

    def discard(self) -> None:
        """Remove it from the staging folder; what was placed stays. Never raises."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


class InputUploads:
    """Fits ``intake.ports.UploadFolder``. Blocks: not for the event loop."""

    def __init__(
        self,
        folders: Folders,
        staging: Path,
        ours: re.Pattern[str],
        *,
        clock: Callable[[], float] = time.time,
        link: Callable[[Path, Path], None] = os.link,
    ) -> None:
        """``staging`` is made when it is needed, best on the disk of the input folder. ``ours``: the names of uploads;
        ``clock`` is the file system's; ``link`` gives a file a second name, on the same disk only."""
        self._folders = folders
        self._staging = staging
        self._ours = ours
        self._clock = clock
        self._link = link

    def stage(self) -> StagedFile:
        """A new file to receive into. Raises ``StoreUnavailable``."""
        with _room():
            self._staging.mkdir(parents=True, exist_ok=True)
            return StagedFile(self._staging / f"{uuid.uuid4().hex}.part")

    def place(self, staged: StagedFile, name: str) -> Placed:
        """Put a whole file into the input folder. A file of the same bytes there is used as it is; one of other bytes is left
        alone, and the name gets a number. Raises ``StoreUnavailable``."""
        with _room():
            base = self._base()
            for number in range(_MOST_NAMESAKES):
                target = base / (name if number == 0 else _numbered(name, number))
                if _put(staged.path, target, self._link):
                    return Placed(target.name, fresh=True)
                if _same(staged.path, target):
                    # Old files of pruned jobs go: this one is needed again.
                    os.utime(target, (self._clock(), self._clock()))
                    return Placed(target.name, fresh=False)
        raise StoreUnavailable(f"ComfyUI's input folder has too many files named {name}.", retry_after_s=RETRY_AFTER_S)

    def remove(self, name: str) -> None:
        """Remove an upload that nobody needs. Never raises."""
        with suppress(OSError, StoreUnavailable):
            (self._base() / name).unlink(missing_ok=True)

    def unused_since(self, age_s: float) -> frozenset[str]:
        """The uploads that have not been sent for so long; remains of receiving that are as old are removed. Never raises."""
        before_s = self._clock() - age_s
        for path in _older(self._staging, before_s):
            with suppress(OSError):
                path.unlink()
        base = self._folders(INPUT)
        if base is None:
            return frozenset()
        return frozenset(path.name for path in _older(Path(base), before_s) if self._ours.fullmatch(path.name))

    def remove_unused(self, names: AbstractSet[str], age_s: float) -> None:
        """Remove these uploads, but for those that were sent again meanwhile. Never raises."""
        for name in self.unused_since(age_s) & names:
            self.remove(name)

    def _base(self) -> Path:
        base = self._folders(INPUT)
        if base is None:
            raise StoreUnavailable("This ComfyUI has no input folder.", retry_after_s=RETRY_AFTER_S)
        path = Path(base)
        path.mkdir(parents=True, exist_ok=True)
        return path


@contextmanager
def _room() -> Generator[None, None, None]:
    try:
        yield
    except OSError as fault:
        text = f"The file cannot be stored: {fault.strerror or type(fault).__name__}."
        raise StoreUnavailable(text, retry_after_s=RETRY_AFTER_S) from fault


def _put(source: Path, target: Path, link: Callable[[Path, Path], None]) -> bool:
    """Whether ``target`` is now the whole file; False if there was one of that name."""
    try:
        link(source, target)
    except FileExistsError:
        return False
    except OSError:
        # Another disk, or a file system without links: a copy beside it, which takes the name only when it is whole.
        if os.path.lexists(target):
            return False
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
        try:
            shutil.copyfile(source, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return True


def _same(one: Path, other: Path) -> bool:
    if other.is_symlink() or not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as first, other.open("rb") as second:
        while True:
            block = first.read(_BLOCK_BYTES)
            if block != second.read(_BLOCK_BYTES):
                return False
            if not block:
                return True


def _numbered(name: str, number: int) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}-{number}{dot}{suffix}" if dot else f"{name}-{number}"


def _older(folder: Path, before_s: float) -> list[Path]:
    found: list[Path] = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < before_s:
                    found.append(Path(entry.path))
    return found
