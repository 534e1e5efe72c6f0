"""Files that come with a submit: received within bounds, put where ComfyUI reads them, removed if no job came of them.

Owns who still needs a file that this process has just stored, and the bounds. Does not own the folders (``host.uploads``) nor the
names (``upload_names``). What a crash leaves behind is found by ``runtime.keeper``: a file that no job names.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

from ..jobs.errors import ExpeditorError, Fault, InputInvalid, LimitExceeded, StoreUnavailable
from .faults import pointer, short
from .ports import Staged, UploadFolder
from .upload_names import Uploaded, stored_name

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Bounds of one request; the bytes are those of all its files."""

    files: int
    size_bytes: int


@dataclass(slots=True)
class _Hold:
    """A stored name that requests on their way use. ``fresh``: the files that they brought; ``wanted``: a job may need them.

    ``moving``: its files come or go, one step at a time.
    """

    requests: int = 0
    wanted: bool = False
    fresh: set[str] = field(default_factory=set[str])
    moving: asyncio.Lock = field(default_factory=asyncio.Lock)


class UploadDesk:
    """See the module's docstring. One per server, on the event loop; files are written on other threads."""

    def __init__(self, folder: UploadFolder, limits: UploadLimits) -> None:
        """``folder`` is ComfyUI's."""
        self.folder = folder
        self.limits = limits
        self._holds: dict[str, _Hold] = {}

    def open(self) -> Uploads:
        """The files of one request; an asynchronous context manager around the whole submit."""
        return Uploads(self)

    @property
    def held(self) -> int:
        """How many stored names requests hold now."""
        return len(self._holds)

    async def store(self, staged: Staged, name: str) -> str:
        """Put a file in its place and hold its name; the name it got. ``give_back`` must follow."""
        # Held before it is there: a request that brought the same file and is refused meanwhile must not take it away.
        hold = self._holds.setdefault(name, _Hold())
        hold.requests += 1
        return await _to_the_end(self._place(staged, name, hold))

    async def _place(self, staged: Staged, name: str, hold: _Hold) -> str:
        async with hold.moving:
            placed = await asyncio.to_thread(self.folder.place, staged, name)
            if placed.fresh:
                hold.fresh.add(placed.name)
        return placed.name

    async def give_back(self, name: str, *, wanted: bool) -> None:
        """A request is over. The last one of a name removes what came with it, unless a job may need it."""
        hold = self._holds[name]
        hold.requests -= 1
        hold.wanted = hold.wanted or wanted
        if hold.requests:
            return
        async with hold.moving:
            # Somebody may have come for it again while this waited, or comes now and waits until it is gone.
            if not hold.requests and not hold.wanted:
                fresh, hold.fresh = tuple(hold.fresh), set()
                await asyncio.to_thread(self._remove, fresh)
        if not hold.requests and self._holds.get(name) is hold:
            del self._holds[name]

    def _remove(self, names: tuple[str, ...]) -> None:
        for name in names:
            self.folder.remove(name)


class Uploads:
    """The files of one request. Made by ``UploadDesk.open``.

    Left without an error they stay. Left with one they go, but where nobody can say whether the job is in: once all is received
    (``complete``), a store that did not answer, or a request that was cut off, may have let it in.
    """

    def __init__(self, desk: UploadDesk) -> None:
        """Nothing is received yet."""
        self._desk = desk
        self._files: list[Uploaded] = []
        self._names: list[str] = []
        self._received_bytes = 0
        self._complete = False

    async def __aenter__(self) -> Uploads:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        refused = isinstance(error, ExpeditorError) and not isinstance(error, StoreUnavailable)
        wanted = error is None or (self._complete and not refused)
        await _to_the_end(self._give_back(wanted))

    async def receive(self, part: str, filename: str | None, chunks: AsyncIterable[bytes]) -> None:
        """Take one file in. Raises ``LimitExceeded`` (413), ``InputInvalid``, ``StoreUnavailable`` (the disk is full)."""
        if not filename:
            raise _refusal(part, f"{short(part)} has no file name.", "Send it as a file, with its name.")
        if len(self._files) == self._desk.limits.files:
            most = self._desk.limits.files
            raise LimitExceeded(f"More than {most} files in one request.", details={"max_files": most}, too_large=True)
        staged = await asyncio.to_thread(self._desk.folder.stage)
        try:
            async for chunk in chunks:
                self._count(len(chunk))
                await asyncio.to_thread(staged.write, chunk)
            name = stored_name(filename, await asyncio.to_thread(staged.digest))
            self._names.append(name)
            stored = await self._desk.store(staged, name)
        finally:
            await _to_the_end(asyncio.to_thread(staged.discard))
        self._files.append(Uploaded(part, filename, stored))

    def complete(self) -> tuple[Uploaded, ...]:
        """All is received: the files."""
        self._complete = True
        return tuple(self._files)

    def _count(self, size_bytes: int) -> None:
        self._received_bytes += size_bytes
        most = self._desk.limits.size_bytes
        if self._received_bytes > most:
            raise LimitExceeded(
                f"The files are larger than {most} bytes.", details={"max_upload_bytes": most}, too_large=True
            )

    async def _give_back(self, wanted: bool) -> None:
        for name in self._names:
            await self._desk.give_back(name, wanted=wanted)


async def _to_the_end(step: Coroutine[Any, Any, T]) -> T:
    """The step, done also for a request that is cut off in the middle of it: or a file would be left that nobody knows of."""
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        raise


def _refusal(part: str, message: str, hint: str) -> InputInvalid:
    return InputInvalid(message, faults=(Fault(pointer(short(part)), InputInvalid.code, message, hint),))
