"""Fetches files from other instances into a folder here: resumed after a cut, whole or not at all, each once however many want it.

Owns the folder's files while they come, and its bound: what was not used for the longest time goes first. Does not own who has a file
(``remote_outputs``, ``foreign_inputs``). The coroutine is used on the peers' event loop.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp

from .landing import digest_of
from .peers import PeerAway, PeerRefused, Peers
from .room import room

log = logging.getLogger("expeditor.host")

MTIME_HEADER = "X-Expeditor-Mtime-Ns"
CHUNK_BYTES = 1 << 18
TRIES = 4
WAIT_S = 0.2
SPARED_S = 3600.0
"""What was used so lately stays, whatever the bound is: a run may be reading it."""
PART = ".part"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to fetch: what is asked for (``routes.peers``), and what is known of its bytes; ``target`` is where it is to be."""

    params: Mapping[str, str]
    target: Path
    size_bytes: int | None = None
    digest: str | None = None


class Fetches(Protocol):
    """A way to a file of another instance; ``Fetcher`` fits."""

    async def fetch(self, instances: Sequence[str], wanted: Wanted) -> bool:
        """See ``Fetcher.fetch``."""
        ...


class Fetcher:
    """See the module's docstring."""

    def __init__(self, peers: Peers, folder: Path, most_bytes: int) -> None:
        """``folder`` is made when there is something to fetch; all targets are inside."""
        self._peers = peers
        self._folder = folder
        self._most_bytes = most_bytes
        self._locks: dict[Path, tuple[asyncio.Lock, int]] = {}

    async def fetch(self, instances: Sequence[str], wanted: Wanted) -> bool:
        """Whether the file is at its target now; False if none of the instances has it. Raises ``PeerAway`` when one that may have it
        cannot be asked, ``StoreUnavailable`` when it cannot be stored here."""
        lock, users = self._locks.get(wanted.target, (asyncio.Lock(), 0))
        self._locks[wanted.target] = lock, users + 1
        try:
            async with lock:
                if await asyncio.to_thread(_used, wanted):
                    return True
                return await self._from_one(instances, wanted)
        finally:
            lock, users = self._locks.pop(wanted.target)
            if users > 1:
                self._locks[wanted.target] = lock, users - 1

    async def _from_one(self, instances: Sequence[str], wanted: Wanted) -> bool:
        away: PeerAway | None = None
        for instance in dict.fromkeys(instances):
            try:
                await self._from(instance, wanted)
            except PeerAway as fault:
                away = fault
            except PeerRefused as refusal:
                log.debug("A file is not there: %s", refusal)
            else:
                await asyncio.to_thread(self._bound)
                return True
        if away is not None:
            raise away
        return False

    async def _from(self, instance: str, wanted: Wanted) -> None:
        for tried in range(1, TRIES + 1):
            try:
                return await self._once(instance, wanted)
            except PeerAway as fault:
                # Going on is of use only if bytes came: an instance that cannot be reached is not waited for.
                if tried == TRIES or not isinstance(fault.__cause__, aiohttp.ClientPayloadError):
                    raise
                await asyncio.sleep(WAIT_S * tried)
        raise AssertionError("the last try raises")

    async def _once(self, instance: str, wanted: Wanted) -> None:
        part = wanted.target.with_name(
            f".{hashlib.blake2b(wanted.target.name.encode(), digest_size=12).hexdigest()}{PART}"
        )
        had = await asyncio.to_thread(_begun, part, wanted)
        async with self._peers.fetch(instance, "/files", wanted.params, had) as answer:
            offset = had if answer.status == 206 else 0
            size_bytes = offset + (answer.content_length or 0)
            if wanted.size_bytes not in (None, size_bytes):
                await asyncio.to_thread(part.unlink, missing_ok=True)
                raise PeerRefused(f"Instance {instance} has a file of {size_bytes} bytes under this name.", 200)
            file = await asyncio.to_thread(part.open, "r+b" if offset else "wb")
            try:
                file.seek(offset)
                async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                    with room(part):
                        await asyncio.to_thread(file.write, chunk)
                with room(part):
                    await asyncio.to_thread(_synced, file.fileno(), file.flush)
            finally:
                file.close()
            mtime_ns = int(answer.headers.get(MTIME_HEADER) or time.time_ns())
        await asyncio.to_thread(_whole, part, wanted, size_bytes, mtime_ns, instance)

    def _bound(self) -> None:
        """Remove what was not used for the longest time until the rest is within the bound."""
        files: list[tuple[float, int, Path]] = []
        for path in self._folder.rglob("*"):
            with suppress(OSError):
                facts = path.stat()
                if path.is_file() and not path.is_symlink():
                    files.append((facts.st_atime, facts.st_size, path))
        total = sum(size for _, size, _ in files)
        before_s = time.time() - SPARED_S
        for used_s, size, path in sorted(files):
            if total <= self._most_bytes or used_s > before_s:
                return
            with suppress(OSError):
                path.unlink()
                total -= size


def _used(wanted: Wanted) -> bool:
    """Whether it is here already; then it was used now."""
    try:
        facts = wanted.target.stat()
        if wanted.size_bytes not in (None, facts.st_size):
            return False
        os.utime(wanted.target, ns=(time.time_ns(), facts.st_mtime_ns))
    except OSError:
        return False
    return True


def _begun(part: Path, wanted: Wanted) -> int:
    with room():
        part.parent.mkdir(parents=True, exist_ok=True)
    try:
        size_bytes = part.stat().st_size
    except OSError:
        return 0
    # Without a hash nobody would see that what is here is of another file; without a length, that it is whole.
    return size_bytes if wanted.digest and wanted.size_bytes and size_bytes < wanted.size_bytes else 0


def _synced(number: int, flush: object) -> None:
    if callable(flush):
        flush()
    os.fsync(number)


def _whole(part: Path, wanted: Wanted, size_bytes: int, mtime_ns: int, instance: str) -> None:
    if part.stat().st_size != size_bytes:
        raise PeerAway(f"Instance {instance} did not send all of a file.")
    if wanted.digest is not None and digest_of(part) != wanted.digest:
        part.unlink(missing_ok=True)
        raise PeerRefused(f"Instance {instance} sent other bytes than it told of.", 200)
    with room(part):
        os.utime(part, ns=(time.time_ns(), mtime_ns))
        part.replace(wanted.target)
