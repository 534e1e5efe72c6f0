"""Files that jobs leave in ComfyUI's folders: removed when their jobs are forgotten, and those in ``temp`` kept meanwhile.

Owns which paths may be touched: regular files inside ComfyUI's ``output``, ``temp`` and ``input``, reached without a link
as the last step, and the folder of copies. Not owned: which files nobody needs any more (``runtime.keeper``).
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from ..jobs.leftovers import INPUT, FileName
from ..jobs.model import Job, Output

log = logging.getLogger("expeditor.host")

TEMP = "temp"
MTIME_SLACK_S = 5.0
"""File systems keep times coarsely, and a run's end is noted a moment after its last file."""

Folders = Callable[[str], str | None]
"""ComfyUI's folder of a kind (``output``, ``temp``, ``input``); None for a kind that there is not."""


class TempCopies:
    """Copies of what jobs left in ``temp``, which ComfyUI empties at every start. Links where possible: they need no room."""

    def __init__(self, folders: Folders, home: Path) -> None:
        """``home`` is the folder of the copies; made when there is something to keep."""
        self._folders = folders
        self._home = home

    def keep(self, file: FileName) -> None:
        """Keep a copy of one file in ``temp``. Never raises: a job whose picture cannot be kept has ended all the same."""
        found, kept = located(self._folders, file), self._place(file)
        if found is None or kept is None or file.folder != TEMP:
            return
        try:
            if not kept.exists() or not kept.samefile(found):
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.unlink(missing_ok=True)
                _link_or_copy(found, kept)
        except OSError as fault:
            log.warning(
                "A file of ComfyUI's temp folder could not be kept: %s", fault, extra={"event": "temp.not_kept"}
            )

    def restore(self) -> int:
        """Put the copies back where ComfyUI looks for them; how many. A file that is there is left alone."""
        base = self._folders(TEMP)
        if base is None or not self._home.is_dir():
            return 0
        restored = 0
        for kept in self._home.rglob("*"):
            place = Path(base) / kept.relative_to(self._home)
            if kept.is_symlink() or not kept.is_file() or place.exists():
                continue
            with suppress(OSError):
                place.parent.mkdir(parents=True, exist_ok=True)
                _link_or_copy(kept, place)
                restored += 1
        return restored

    def forget(self, file: FileName) -> None:
        """Remove the copy of one file, if there is one; the file itself goes when ComfyUI empties its folder."""
        kept = self._place(file)
        if kept is not None and file.folder == TEMP:
            with suppress(OSError):
                kept.unlink(missing_ok=True)

    def _place(self, file: FileName) -> Path | None:
        return inside(self._home, file)


class Leftovers:
    """Removes files of jobs that are forgotten."""

    def __init__(self, folders: Folders) -> None:
        """``folders`` is asked each time: ComfyUI's folders may be set by its command line."""
        self._folders = folders

    def remove(self, file: FileName, not_after_s: float) -> bool:
        """Remove one file; whether it was. Not one that was written later than ``not_after_s`` (its name was used again by
        somebody else), nor anything but a regular file inside ComfyUI's folder. Never raises."""
        path = located(self._folders, file)
        try:
            if path is None or path.stat().st_mtime > not_after_s + MTIME_SLACK_S:
                return False
            path.unlink()
        except OSError as fault:
            log.warning("A file of a pruned job stays: %s", fault, extra={"event": "file.not_removed"})
            return False
        return True

    def inputs_there(self, names: Iterable[str]) -> frozenset[str]:
        """Those of these names that a file of the input folder has."""
        return frozenset(name for name in names if located(self._folders, FileName(INPUT, "", name)) is not None)


class OutputFinder:
    """Finds what jobs made, for those who fetch it. Fits ``intake.ports.OutputFiles``."""

    def __init__(self, folders: Folders) -> None:
        """See ``Leftovers``."""
        self._folders = folders

    def of_job(self, job: Job, output: Output) -> Path | None:
        """As ``find``, of a job that ended."""
        return self.find(output, job.finished_at_s or 0.0)

    def find(self, output: Output, finished_at_s: float) -> Path | None:
        """The file, or None: it is not there, or it was written after the job's end with another length (by another job)."""
        path = located(self._folders, FileName(output.folder, output.subfolder, output.name))
        try:
            facts = None if path is None else path.stat()
        except OSError:
            return None
        if facts is None or output.size_bytes in (None, facts.st_size):
            return path
        return None if facts.st_mtime > finished_at_s + MTIME_SLACK_S else path


def located(folders: Folders, file: FileName) -> Path | None:
    """The regular file of this name inside ComfyUI's folder, or None."""
    base = folders(file.folder)
    path = None if base is None else inside(Path(base), file)
    try:
        return path if path is not None and path.is_file() and not path.is_symlink() else None
    except (OSError, ValueError):
        return None


def inside(base: Path, file: FileName) -> Path | None:
    """The path of a name, its folder resolved; None when that leads out of ``base`` or the name is no plain one."""
    try:
        path = base / file.subfolder / file.name
        folder, root = path.parent.resolve(), base.resolve()
    except (OSError, ValueError, RuntimeError):  # RuntimeError: a link to itself, before Python 3.13
        return None
    plain = path.name not in ("", ".", "..") and "\0" not in str(path)
    return folder / path.name if plain and folder.is_relative_to(root) else None


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Another disk, or a file system without links.
        shutil.copy2(source, target)
