"""A zip of files as a stream of bytes: nothing is held but the part that is on its way. Pure but for reading the files.

Stored, not compressed: pictures and films are compressed already. Owns the names inside and what becomes of files that are not
there; who may read what is decided by whoever names the files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

CHUNK_BYTES = 256 * 1024
_LARGE_BYTES = 2**31 - 1
_NAME_MAX = 200


@dataclass(frozen=True, slots=True)
class Member:
    """A file to come: its ``name`` in the zip, and where it is found when its turn comes (None: it is not there)."""

    name: str
    find: Callable[[], Path | None]


class _Pipe:
    """What the zip is written into: bytes wait here until they are taken. Cannot seek, so sizes follow each file."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Nothing waits anywhere else."""

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def zipped(
    members: Iterable[Member], last: Callable[[frozenset[str]], tuple[str, bytes]]
) -> Generator[bytes, None, None]:
    """The zip's bytes, part by part, each of about ``CHUNK_BYTES`` at most; reading blocks.

    ``last`` gives the name and the bytes of one more file at the end; it is told the names of members that were not there, or
    could not be read to their end.
    """
    pipe, missing = _Pipe(), set[str]()
    with ZipFile(pipe, "w", ZIP_STORED) as archive:  # type: ignore[call-overload,arg-type]  # it only writes
        for member in members:
            try:
                yield from _one(archive, pipe, member)
            except OSError:
                missing.add(member.name)
        name, content = last(frozenset(missing))
        archive.writestr(_info(name, time.time()), content)
    yield pipe.take()


def _one(archive: ZipFile, pipe: _Pipe, member: Member) -> Generator[bytes, None, None]:
    path = member.find()
    if path is None:
        raise FileNotFoundError(member.name)
    facts = path.stat()
    with path.open("rb") as source:
        info = _info(member.name, facts.st_mtime)
        with archive.open(info, "w", force_zip64=facts.st_size > _LARGE_BYTES) as target:
            left = facts.st_size  # not what is written meanwhile
            while left > 0 and (part := source.read(min(CHUNK_BYTES, left))):
                target.write(part)
                left -= len(part)
                yield pipe.take()
            if left > 0:
                raise OSError(f"{member.name} became shorter while it was read")


def _info(name: str, at_s: float) -> ZipInfo:
    when = time.localtime(max(at_s, 315_619_200))  # a zip knows no time before 1980
    info = ZipInfo(name, when[:6])
    info.external_attr = 0o644 << 16
    return info


def names_for(wanted: Iterable[tuple[str, str]]) -> list[str]:
    """A path in the zip for each pair of folder and file name: safe on every system, and each another one."""
    taken: set[str] = set()
    names: list[str] = []
    for folder, name in wanted:
        plain = "".join("_" if sign in '<>:"/\\|?*' or not sign.isprintable() else sign for sign in name)
        stem, dot, ending = (plain.strip(" .") or "file")[-_NAME_MAX:].rpartition(".")
        stem, ending = (stem, dot + ending) if stem else (ending, "")
        made, count = f"{folder}/{stem}{ending}", 1
        while made.lower() in taken:
            count += 1
            made = f"{folder}/{stem} ({count}){ending}"
        taken.add(made.lower())
        names.append(made)
    return names
