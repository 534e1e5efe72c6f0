"""Where results of other instances come down on this one: checked, resumable, whole or not at all, never over another file.

Bytes are gathered in a folder of parts on the disk of ComfyUI's folder and take their name only when they are all there, on the disk
and have the hash that was told. A name that other bytes have already is left alone: the file goes to a folder of its job. Owns these
files; does not own their names (``jobs.homing``) nor HTTP. Blocks: not for the event loop. Any thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..jobs.errors import Conflict, InputInvalid
from ..jobs.homing import SENT_FOLDERS, home_subfolder, job_subfolder
from ..jobs.instances import is_name
from ..jobs.leftovers import FileName
from ..jobs.parcels import Landing, Offer
from .files import Folders, TempCopies, inside
from .room import Room

PARTS = ".expeditor-parts"
PART_LIFE_S = 2 * 86_400.0
"""Bytes that nobody went on sending for so long are removed."""
_STEP_BYTES = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_JOB = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME_MAX_BYTES = 255
_WINDOWS = os.name == "nt"
_NO_SIGNS, _NO_SIGNS_WINDOWS = "/\\", '/\\:*?"<>|'
_DEVICE = re.compile(
    r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9\u00b9\u00b2\u00b3]) *(\..*)?", re.IGNORECASE | re.DOTALL
)
"""What Windows takes for a device in any folder, with any ending."""


@dataclass(slots=True)
class Turn:
    """Who receives one part now. ``lock`` is held for every change of it, and by nobody who changes another one."""

    lock: threading.Lock
    writer: object = None


class LandingGround:
    """See the module's docstring."""

    def __init__(self, folders: Folders, copies: TempCopies | None = None, room: Room | None = None) -> None:
        """``copies`` keeps what comes down in ``temp``, which ComfyUI empties. ``room``: one of its own when None."""
        self._folders = folders
        self._copies = copies
        self.room = room or Room()
        self._lock = threading.Lock()
        self._turns: dict[Path, Turn] = {}
        self._naming = threading.Lock()

    def look(self, offer: Offer) -> Landing:
        """What is here of it. Raises ``InputInvalid`` for an offer that leads out of ComfyUI's folders or makes no sense, and
        ``StoreUnavailable`` when the rest of it does not fit on the disk."""
        _check(offer)
        for file in _places(offer):
            path = self._path(file)
            if not os.path.lexists(path):
                return self._begun(file, offer)
            if _is(path, offer):
                return Landing(file, offer.size_bytes, done=True)
        # The job's own folder has other bytes under this name: of an earlier attempt, and nobody else's.
        return self._begun(_places(offer)[-1], offer)

    def receive(self, offer: Offer, offset: int) -> Reception:
        """Take its bytes from ``offset`` on. ``Conflict`` unless just so many are here; ``StoreUnavailable``, ``InputInvalid``.

        Whoever received the same file before receives no more.
        """
        landing = self.look(offer)
        if landing.done or landing.have_bytes != offset:
            raise Conflict(f"There are {landing.have_bytes} bytes of it.", details={"have_bytes": landing.have_bytes})
        part = self._part(landing.file, offer)
        with self.room.taken():
            part.parent.mkdir(parents=True, exist_ok=True)
            file = part.open("r+b" if offset else "wb")
        with self._lock:
            turn = self._turns.setdefault(part, Turn(threading.Lock()))
            turn.writer = reception = Reception(self, turn, offer, landing.file, part, file, offset)
        return reception

    def sweep(self, now_s: float | None = None) -> int:
        """Remove bytes that nobody went on sending; how many files. Never raises."""
        before_s = (time.time() if now_s is None else now_s) - PART_LIFE_S
        removed = 0
        for kind in SENT_FOLDERS:
            base = self._folders(kind)
            with contextlib.suppress(OSError):
                for part in Path(base, PARTS).iterdir() if base is not None else ():
                    if part.stat().st_mtime < before_s:
                        part.unlink()
                        removed += 1
        return removed

    def forget(self, part: Path, turn: Turn, writer: object) -> None:
        """This one receives no more."""
        with self._lock:
            if turn.writer is writer:
                turn.writer = None
                del self._turns[part]

    def put(self, offer: Offer, part: Path) -> FileName:
        """All bytes are in ``part``: give them their name. For its writer; raises ``OSError``. Others' files may be read for it, so it
        keeps nobody else waiting."""
        places = _places(offer)
        for file in places:
            path = self._path(file)
            path.parent.mkdir(parents=True, exist_ok=True)
            if self._named(part, path, over=file is places[-1]):
                _sync_folder(path.parent)
            elif _is(path, offer):
                part.unlink()
            else:
                continue
            if self._copies is not None:
                self._copies.keep(file)
            self.room.was_enough()
            return file
        raise AssertionError("the last place is always free")

    def _named(self, part: Path, path: Path, *, over: bool) -> bool:
        """Unless there is something of this name and it is not to be written ``over``."""
        with self._naming:
            if not over and os.path.lexists(path):
                return False
            part.replace(path)
            return True

    def _begun(self, file: FileName, offer: Offer) -> Landing:
        part = self._part(file, offer)
        have_bytes = self._had(part, offer)
        # Asked for here, before the bytes travel: who sends them hears why only once they are through.
        self.room.ask(part.parent.parent, offer.size_bytes - have_bytes)
        return Landing(file, have_bytes, done=False)

    def _path(self, file: FileName) -> Path:
        base = self._folders(file.folder)
        path = None if base is None else inside(Path(base), file)
        if path is None:
            raise InputInvalid(f"{file.name!r} in {file.subfolder!r} leads out of ComfyUI's folder {file.folder}.")
        return path

    def _part(self, file: FileName, offer: Offer) -> Path:
        base = self._folders(file.folder)
        assert base is not None  # `_path` has looked
        key = "\0".join((*file, offer.digest)).encode("utf-8", "surrogatepass")
        return Path(base) / PARTS / f"{hashlib.blake2b(key, digest_size=16).hexdigest()}.part"

    @staticmethod
    def _had(part: Path, offer: Offer) -> int:
        try:
            size_bytes = part.stat().st_size
        except OSError:
            return 0
        return size_bytes if size_bytes <= offer.size_bytes else 0


class Reception:
    """One stream of bytes into a part. Used by one thread at a time; ``close`` it in any case."""

    def __init__(
        self, ground: LandingGround, turn: Turn, offer: Offer, file: FileName, part: Path, stream: BinaryIO, offset: int
    ) -> None:
        """Made by ``LandingGround.receive``."""
        self._ground = ground
        self._turn = turn
        self._offer = offer
        self._file = file
        self._part = part
        self._stream = stream
        self.have_bytes = offset
        stream.seek(offset)

    def write(self, chunk: bytes) -> None:
        """Add to it. ``Conflict`` when somebody else receives it by now or it is too much; ``StoreUnavailable`` when the disk takes no
        more: then what was here is removed, for its room is needed."""
        if self.have_bytes + len(chunk) > self._offer.size_bytes:
            raise Conflict("That is more than was offered.", details={"have_bytes": self.have_bytes})
        with self._turn.lock:
            self._mine()
            with self._ground.room.taken(self._part):
                self._stream.write(chunk)
                self._stream.flush()
        self.have_bytes += len(chunk)

    def end(self) -> Landing:
        """No more comes now. If all is here it gets its name; ``InputInvalid`` when it has another hash: then it is removed."""
        if self.have_bytes < self._offer.size_bytes:
            return Landing(self._file, self.have_bytes, done=False)
        with self._ground.room.taken(self._part):
            os.fsync(self._stream.fileno())
        self._stream.close()
        same = digest_of(self._part) == self._offer.digest
        with self._turn.lock, self._ground.room.taken(self._part):
            self._mine()
            if not same:
                self._part.unlink(missing_ok=True)
                raise InputInvalid(f"The bytes of {self._offer.file.name} are not those that were offered.")
            os.utime(self._part, (self._offer.at_s, self._offer.at_s))
            file = self._ground.put(self._offer, self._part)
        return Landing(file, self.have_bytes, done=True)

    def close(self) -> None:
        """Let go of the file; what is here stays for who goes on. Idempotent; never raises."""
        with contextlib.suppress(OSError):
            self._stream.close()
        self._ground.forget(self._part, self._turn, self)

    def _mine(self) -> None:
        if self._turn.writer is not self:
            raise Conflict("Somebody else sends this file by now.")


def digest_of(path: Path) -> str:
    """The hash of a file that travels, hexadecimal. Blocks."""
    digest = hashlib.blake2b(digest_size=32)
    with path.open("rb") as file:
        while piece := file.read(_STEP_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _check(offer: Offer) -> None:
    file = offer.file
    faults = {
        "instance": not is_name(offer.instance),
        "job_id": _JOB.fullmatch(offer.job_id) is None,
        "type": file.folder not in SENT_FOLDERS,
        "size_bytes": offer.size_bytes < 0,
        "digest": _DIGEST.fullmatch(offer.digest) is None,
        "filename": not is_plain(file.name),
        "subfolder": not all(is_plain(part) for part in file.subfolder.replace("\\", "/").split("/") if part),
    }
    for field, wrong in faults.items():
        if wrong:
            raise InputInvalid(f"The offered file has no sound {field}.", details={"field": field})


def is_plain(name: str, *, windows: bool = _WINDOWS) -> bool:
    """Whether it is one part of a path on this system, and leads nowhere else."""
    signs = _NO_SIGNS_WINDOWS if windows else _NO_SIGNS
    if name in ("", ".", "..") or any(sign in signs or sign < " " for sign in name):
        return False
    if windows and (name != name.rstrip(" .") or _DEVICE.fullmatch(name)):
        return False
    try:
        return len(name.encode("utf-8")) <= _NAME_MAX_BYTES
    except UnicodeEncodeError:
        return False


def _places(offer: Offer) -> tuple[FileName, ...]:
    file = offer.file
    own = file._replace(subfolder=job_subfolder(offer.instance, offer.job_id, file.subfolder))
    home = file._replace(subfolder=home_subfolder(offer.instance, file.subfolder))
    return (own,) if offer.apart or own == home else (home, own)


def _is(path: Path, offer: Offer) -> bool:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size != offer.size_bytes:
            return False
        return digest_of(path) == offer.digest
    except OSError:
        return False


def _sync_folder(folder: Path) -> None:
    """So that the name, too, survives a power cut; systems that cannot do it do without."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
