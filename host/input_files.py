"""Uploaded assets in ComfyUI's input folder: real files under the name their client gave, where that is free.

Owns which name a file gets and that it gets there whole or not at all; every path stays inside the folder, also behind links. What is
removed is only what was written here. Blocks; meant for other threads than the event loop's. Records of assets are not its business.
"""

from __future__ import annotations

import filecmp
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Protocol

from ..jobs.assets import Blob
from ..jobs.errors import Fault, InputInvalid, StoreUnavailable
from ..jobs.leftovers import INPUT, FileName
from .files import Folders, located
from .hashing import NewHasher, digest_of
from .receiving import Receiving, unwritable

log = logging.getLogger("expeditor.host")

UPLOADS = ".expeditor-uploads"
"""The folder, inside ComfyUI's input folder and so on its disk, of uploads that are not whole yet."""
_NAME_BYTES = 255
_MARK_CHARS = 16
_FREE_NAMES = 3


class Received(Protocol):
    """A whole upload; ``receiving`` fits."""

    @property
    def path(self) -> Path:
        """Its own file."""
        ...

    @property
    def hash(self) -> str | None:
        """``blake3:<hex>``, or None where that is not possible."""
        ...


class InputFiles:
    """Fits ``intake.asset_ports.AssetFiles``."""

    def __init__(self, folders: Folders, new_token: Callable[[], str], new_hasher: NewHasher | None) -> None:
        """``folders`` is asked each time; ``new_token`` makes names that nobody has; ``new_hasher`` None: there are no hashes."""
        self._folders = folders
        self._new_token = new_token
        self._new_hasher = new_hasher

    def begin(self) -> Receiving:
        """A new upload. Raises ``StoreUnavailable``."""
        folder = self._root() / UPLOADS
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise unwritable(fault) from fault
        return Receiving(folder / f"{self._new_token()}.part", self._new_hasher)

    def sweep(self) -> int:
        """At a start: remove what uploads that never became whole have left; how many."""
        swept = 0
        with suppress(OSError, StoreUnavailable):
            for path in (self._root() / UPLOADS).glob("*.part"):
                path.unlink(missing_ok=True)
                swept += 1
        return swept

    def place(self, received: Received, file_path: str) -> Blob:
        """Give a whole upload its name; its own file is gone then. A file of that name with the same bytes serves as well; with other
        bytes it stays, and the upload gets a name of its own beside it. Raises ``StoreUnavailable`` or ``InputInvalid``."""
        return self._placed(received.path, file_path, received.hash, move=True)

    def also_at(self, blob: Blob, file_path: str) -> Blob | None:
        """The same bytes under another name; None when they are not there any more. Raises as ``place``."""
        source = self.find(blob)
        return None if source is None else self._placed(source, file_path, blob.hash, move=False)

    def find(self, blob: Blob) -> Path | None:
        """The file, or None: it is not there, or has other bytes by now."""
        path = located(self._folders, _name_of(blob))
        try:
            facts = None if path is None else path.stat()
            if path is None or facts is None or facts.st_size != blob.size_bytes:
                return None
            if facts.st_mtime_ns != blob.mtime_ns and blob.hash is not None and self._new_hasher is not None:
                return path if digest_of(path, self._new_hasher) == blob.hash else None
        except OSError:
            return None
        return path

    def remove(self, blob: Blob) -> None:
        """Remove a file of ours that nobody needs any more, if it is still that file. Never raises."""
        path = self.find(blob) if blob.ours else None
        if path is not None:
            try:
                hashed = blob.hash is not None and self._new_hasher is not None
                if not hashed and path.stat().st_mtime_ns != blob.mtime_ns:
                    return  # of the same length, and written since: nobody can say whose bytes these are
                path.unlink()
            except OSError as fault:
                log.warning("A deleted asset's file stays: %s", fault, extra={"event": "asset.file_stays"})

    def digest(self, path: Path) -> str | None:
        """The hash of a file, or None where that is not possible."""
        try:
            return None if self._new_hasher is None else digest_of(path, self._new_hasher)
        except OSError:
            return None

    def _root(self) -> Path:
        found = self._folders(INPUT)
        if found is None:
            raise StoreUnavailable("ComfyUI has no input folder.")
        return Path(found)

    def _placed(self, source: Path, file_path: str, digest: str | None, *, move: bool) -> Blob:
        root = self._root()
        wanted = root / PurePosixPath(file_path)
        try:
            _make_folder(root, wanted.parent)
            for target in self._names(wanted, digest):
                ours = target != source and _take(source, target)
                if ours or _same_bytes(source, target):
                    break
            else:
                raise StoreUnavailable("No free name could be found in ComfyUI's input folder.")
            if move:
                source.unlink(missing_ok=True)
            _sync_folder(target.parent)
            facts = target.stat()
        except OSError as fault:
            raise unwritable(fault) from fault
        place = target.relative_to(root).as_posix()
        return Blob(place, facts.st_size, facts.st_mtime_ns, digest, ours)

    def _names(self, wanted: Path, digest: str | None) -> Iterator[Path]:
        yield wanted
        if digest is not None:
            yield _marked(wanted, digest.partition(":")[2][:_MARK_CHARS])
        for _ in range(_FREE_NAMES):
            yield _marked(wanted, self._new_token()[:_MARK_CHARS])


def _name_of(blob: Blob) -> FileName:
    place = PurePosixPath(blob.place)
    return FileName(INPUT, place.parent.as_posix(), place.name)


def _marked(path: Path, mark: str) -> Path:
    """The name with a mark in front of its ending, shortened where the file system would not take it."""
    ending = path.suffix if len(path.suffix.encode("utf-8")) <= _NAME_BYTES // 4 else ""
    stem = path.name.removesuffix(ending) if ending else path.name
    room = _NAME_BYTES - len(f"-{mark}{ending}".encode())
    stem = stem.encode("utf-8")[:room].decode("utf-8", "ignore")
    return path.with_name(f"{stem}-{mark}{ending}")


def _make_folder(root: Path, folder: Path) -> None:
    """Make a folder inside ``root``; a link on the way must not lead out of it. Raises ``InputInvalid``."""
    inside, there = root.resolve(), folder
    while not there.exists() and there != root:
        there = there.parent
    if not there.resolve().is_relative_to(inside):
        raise _refused("file_path leads out of ComfyUI's input folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise _refused("file_path names a folder that is a file.") from None


def _refused(message: str) -> InputInvalid:
    return InputInvalid(message, faults=(Fault("/file_path", InputInvalid.code, message),))


def _take(source: Path, target: Path) -> bool:
    """Have ``target`` name the bytes of ``source``, if the name is free."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError:
        if os.path.lexists(target):
            return False
        return _copy(source, target)  # a file system without links, or another one
    return True


def _copy(source: Path, target: Path) -> bool:
    try:
        with source.open("rb") as given, target.open("xb") as taken:
            try:
                shutil.copyfileobj(given, taken)
                taken.flush()
                os.fsync(taken.fileno())
            except OSError:
                target.unlink(missing_ok=True)
                raise
    except FileExistsError:
        return False
    return True


def _same_bytes(source: Path, target: Path) -> bool:
    if target.is_symlink() or not target.is_file():
        return False
    return target.samefile(source) or filecmp.cmp(source, target, shallow=False)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
