"""What this instance answers when another member of the queue asks for files. Blocks: not for the event loop. Any thread.

Owns which file is meant by a name of home, and the hashes of input files. Does not own HTTP (``routes.peers``) nor who may ask.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from ..jobs.homing import names_at_maker
from ..jobs.leftovers import INPUT, FileName
from ..jobs.parcels import InputFile
from .files import Folders, located
from .landing import digest_of

HASHES_MAX = 10_000
"""The most input files whose hash is remembered."""

Owed = Callable[[str, FileName], Path | None]
"""The bytes of a file that this instance still has to send home, by the job and its name at home; None for one that it has not."""


class InputHashes:
    """Hashes of files, remembered for as long as a file keeps its size and time."""

    def __init__(self) -> None:
        """Knows none."""
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[int, int, str]] = {}

    def of(self, path: Path) -> tuple[int, str]:
        """Size and hash. Raises ``OSError``."""
        facts = path.stat()
        with self._lock:
            known = self._known.get(path)
        if known is not None and known[:2] == (facts.st_size, facts.st_mtime_ns):
            return facts.st_size, known[2]
        digest = digest_of(path)
        with self._lock:
            while len(self._known) >= HASHES_MAX:
                self._known.pop(next(iter(self._known)))
            self._known[path] = (facts.st_size, facts.st_mtime_ns, digest)
        return facts.st_size, digest


class PeerDesk:
    """See the module's docstring."""

    def __init__(self, name: str, folders: Folders, owed: Owed, hashes: InputHashes) -> None:
        """``name`` is this instance's."""
        self._name = name
        self._folders = folders
        self._owed = owed
        self._hashes = hashes

    def find(self, job_id: str, file: FileName) -> Path | None:
        """The bytes of a file by its name at home: it came home to here, or it was made here and is here still."""
        found = located(self._folders, file) or self._owed(job_id, file)
        if found is not None or file.folder == INPUT:
            return found
        candidates = (located(self._folders, name) for name in names_at_maker(self._name, job_id, file))
        return next((path for path in candidates if path is not None), None)

    def inputs(self, names: Iterable[str]) -> tuple[InputFile, ...]:
        """Those of these names that a file of the input folder has."""
        found: list[InputFile] = []
        for name in names:
            path = located(self._folders, FileName(INPUT, "", name))
            try:
                if path is not None:
                    found.append(InputFile(name, *self._hashes.of(path)))
            except OSError:
                continue  # it has just gone
        return tuple(found)
