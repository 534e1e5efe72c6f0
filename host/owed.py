"""The files that this instance still has to send home, on disk: the list survives the process, and so do the bytes.

A file that is owed gets a second name here (a link; a copy where there can be none), so that it is not taken away when ComfyUI empties its
``temp`` at a start or a person tidies up. Owns that folder. Blocks; any thread.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import uuid
from collections import Counter
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..jobs.errors import InputInvalid
from ..jobs.leftovers import FileName
from ..jobs.parcels import Offer, offer_fields, offer_from

log = logging.getLogger("expeditor.host")
FORGOTTEN_FOR_S = 7 * 86_400.0
"""What is owed to an instance that the registry has not listed for so long is let go."""
_BYTES, _ABOUT = ".bytes", ".json"


@dataclass(frozen=True, slots=True)
class OwedFile:
    """A file to send to ``origin``. ``home``: its name there; ``path``: the bytes; ``key``: its name on the list."""

    key: str
    origin: str
    offer: Offer
    home: FileName
    path: Path


class OwedFiles:
    """See the module's docstring."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is made when there is something to keep; what it holds is read when it is first asked for."""
        self._folder = folder
        self._lock = threading.Lock()
        self._files: dict[str, OwedFile] | None = None
        self._missed: frozenset[str] = frozenset()

    def add(self, origin: str, offer: Offer, home: FileName, path: Path) -> OwedFile:
        """Owe it: on disk when this returns. Raises ``OSError``; then nothing is on the list."""
        files = self._known()
        key = uuid.uuid4().hex
        kept, about = self._folder / (key + _BYTES), self._folder / (key + _ABOUT)
        self._folder.mkdir(parents=True, exist_ok=True)
        fields = offer_fields(offer) | {"origin": origin, "home_subfolder": home.subfolder, "home_name": home.name}
        try:
            _link_or_copy(path, kept)
            _write(about, json.dumps(fields).encode("ascii"))
        except OSError:
            for remains in (about, kept):
                with suppress(OSError):
                    remains.unlink(missing_ok=True)
            raise
        owed = OwedFile(key, origin, offer, home, kept)
        with self._lock:
            files[key] = owed
        return owed

    def paid(self, owed: OwedFile) -> None:
        """It is there, or can never be: off the list. Never raises."""
        with self._lock:
            if self._files is not None:
                self._files.pop(owed.key, None)
        for name in (owed.key + _ABOUT, owed.key + _BYTES):
            with suppress(OSError):
                (self._folder / name).unlink(missing_ok=True)

    def all(self) -> tuple[OwedFile, ...]:
        """What is owed, in no order."""
        files = self._known()
        with self._lock:
            return tuple(files.values())

    def let_go(self, listed: AbstractSet[str], now_s: float) -> None:
        """Told now and then, by one thread, which instances the registry lists; ``now_s`` as files have it. Lets go of what is owed to one
        that was listed neither for ``FORGOTTEN_FOR_S`` nor at the last call: after a long rest of all of them none is there at once."""
        gone: Counter[str] = Counter()
        files = self.all()
        for owed in files:
            about = self._folder / (owed.key + _ABOUT)
            with suppress(OSError):
                if owed.origin in listed:
                    os.utime(about, (now_s, now_s))
                elif owed.origin in self._missed and now_s - about.stat().st_mtime > FORGOTTEN_FOR_S:
                    self.paid(owed)
                    gone[owed.origin] += 1
        self._missed = frozenset(owed.origin for owed in files) - listed
        for origin, count in gone.items():
            text = "%d results are not sent any more: there has been no instance %s for a week"
            log.warning(text, count, origin, extra={"event": "owed.let_go"})

    def find(self, job_id: str, home: FileName) -> Path | None:
        """The bytes of a file of this name at home, if it is owed."""
        wanted = (owed.path for owed in self.all() if owed.home == home and owed.offer.job_id == job_id)
        return next(wanted, None)

    def _known(self) -> dict[str, OwedFile]:
        with self._lock:
            if self._files is None:
                self._files = {owed.key: owed for owed in self._read()}
            return self._files

    def _read(self) -> list[OwedFile]:
        found: list[OwedFile] = []
        if not self._folder.is_dir():
            return found
        for path in self._folder.iterdir():
            if path.suffix == _BYTES and not path.with_suffix(_ABOUT).exists():
                with suppress(OSError):
                    path.unlink()  # the process ended before it was on the list
            elif path.suffix == _ABOUT:
                owed = _read(path)
                if owed is not None:
                    found.append(owed)
        return found


def _read(about: Path) -> OwedFile | None:
    try:
        fields: Any = json.loads(about.read_bytes())
        offer = offer_from(cast("dict[str, Any]", fields))
        home = FileName(offer.file.folder, str(fields["home_subfolder"]), str(fields["home_name"]))
        return OwedFile(about.stem, str(fields["origin"]), offer, home, about.with_suffix(_BYTES))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, InputInvalid) as fault:
        log.warning("A file that is owed cannot be sent: %s: %s", about, fault, extra={"event": "owed.unreadable"})
        return None


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Another disk, or a file system without links.
        shutil.copy2(source, target)
