"""The pictures of open waits, as files: ``<folder>/<token>/<number>.jpg`` or ``.png``, for as long as the wait is open.

Owns the files: written before anybody hears of the wait, removed when it is over, and at a start those of waits that are no more.
ComfyUI empties its own ``temp`` at a start; these stay, so that a question that outlives a restart can still be shown. Does not own
which waits are open (``mailbox``) nor how a picture is made (``nodes.previews``).
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Collection, Iterable
from pathlib import Path

from ..jobs.waits import Picture

log = logging.getLogger("expeditor.events")

SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png"}


class NotStored(RuntimeError):
    """The pictures of a question cannot be stored, so nobody could see what is asked."""


class WaitPictures:
    """See the module's docstring. Any thread; ``keep``, ``find`` and ``sweep`` block."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is made when there is something to keep; nothing else lies in it."""
        self._folder = folder
        self._lock = threading.Lock()
        self._ours: set[str] = set()

    def keep(self, token: str, pictures: Iterable[Picture]) -> None:
        """Store them. ``NotStored`` with the system's reason when the disk does not take them; then, and if ``pictures`` raises,
        nothing is left."""
        with self._lock:
            self._ours.add(token)
        try:
            self._write(self._folder / token, pictures)
        except BaseException:
            self._remove(token)
            raise

    def find(self, token: str, number: int) -> Picture | None:
        """One of a wait's pictures; None where there is none."""
        for content_type, suffix in SUFFIXES.items():
            try:
                return Picture(content_type, (self._folder / token / f"{number}{suffix}").read_bytes())
            except OSError:
                continue
        return None

    def drop(self, token: str) -> None:
        """Have them removed; does not wait for it."""
        threading.Thread(target=self._remove, args=(token,), name="expeditor-wait-pictures", daemon=True).start()

    def sweep(self, open_tokens: Collection[str]) -> None:
        """Remove what an earlier process left of waits that are not among these. Never raises."""
        try:
            found = [path.name for path in self._folder.iterdir()]
        except OSError:
            return  # there never were any
        with self._lock:
            left = set(found) - self._ours - set(open_tokens)
        for token in left:
            self._remove(token)

    def _write(self, folder: Path, pictures: Iterable[Picture]) -> None:
        try:
            folder.mkdir(parents=True)
        except OSError as fault:
            raise _not_stored(fault) from fault
        for number, picture in enumerate(pictures):
            try:
                (folder / f"{number}{SUFFIXES[picture.content_type]}").write_bytes(picture.data)
            except OSError as fault:
                raise _not_stored(fault) from fault

    def _remove(self, token: str) -> None:
        try:
            shutil.rmtree(self._folder / token)
        except FileNotFoundError:
            pass
        except OSError as fault:
            log.warning("Pictures of a wait could not be removed: %s", fault, extra={"event": "wait_pictures.left"})
        with self._lock:
            self._ours.discard(token)


def _not_stored(fault: OSError) -> NotStored:
    return NotStored(f"The pictures cannot be stored for a person to see: {fault.strerror or type(fault).__name__}.")
