"""The backup command: a consistent copy of the queue's database while the server runs. Needs no ComfyUI and no package.

Owns the copy, its proof and its arrival under the final name, which is all or nothing; never changes the original. Not
owned: the schema (``database``). Restoring is putting the copy in the database's place: docs/operations.md.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from .soundness import APPLICATION_ID
from .statements import load_statements

DONE, FAILED, MISUSED = 0, 1, 2
DATABASE_NAME = "expeditor.sqlite3"
_PACK = Path(__file__).absolute().parents[2]  # as it was reached: custom_nodes/ may hold a link to it
_STEP_PAGES = 2000
_BUSY_S = 30.0

Progress = Callable[[int, int], None]
"""Hears how many pages of how many are copied."""


class BackupFailed(Exception):
    """There is no copy under the final name; says why."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What was copied: jobs in all and unfinished ones, as of the start of the copy, and the copy's size."""

    jobs: int
    unfinished: int
    size_bytes: int


def back_up(source: Path, target: Path, progress: Progress = lambda _copied, _all: None) -> Backup:
    """Copy the database ``source`` to the new file ``target``, prove the copy sound, and only then give it that name.

    The copy is the database as it was committed when the copy began; who writes meanwhile is not held up, but the journal
    grows until the copy is done. ``BackupFailed`` when ``target`` is there already or anything goes wrong.
    """
    if target.exists():
        raise BackupFailed(f"{target} is there already and is not overwritten.")
    if not source.is_file():
        raise BackupFailed(
            f"There is no database at {source}. Name it with --database, or set EXPEDITOR_DATA_DIR as for the server."
        )
    part = target.with_name(f"{target.name}.part-{os.getpid()}")
    try:
        with closing(_connected(source)) as original:
            made = _copied(original, part, progress)
        _arrive(part, target)
    except sqlite3.Error as fault:
        raise BackupFailed(f"{source} cannot be copied to {target}: {fault}.") from fault
    except OSError as fault:
        raise BackupFailed(f"{target} cannot be written: {fault}.") from fault
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 0 the copy is there, 1 there is none, 2 wrong use."""
    parser = argparse.ArgumentParser(
        prog="backup.py",
        description="Copies Expeditor's database to a new file, also while the server runs. "
        "Exit code 0: the copy is there and proved sound; 1: there is none; 2: wrong use.",
    )
    parser.add_argument("target", type=Path, help="the new file, or a folder that gets one named by the time (UTC)")
    parser.add_argument("--database", type=Path, help=f"the database; default: {default_database()}")
    given = parser.parse_args(arguments)
    target: Path = given.target
    if target.is_dir():
        target /= time.strftime("expeditor-%Y%m%dT%H%M%SZ.sqlite3", time.gmtime())
    try:
        made = back_up(given.database or default_database(), target, _Bar())
    except BackupFailed as fault:
        sys.stderr.write(f"No backup was made. {fault}\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("No backup was made: interrupted.\n")
        return FAILED
    sys.stdout.write(
        f"{target}: {made.jobs} jobs, {made.unfinished} of them unfinished, {made.size_bytes} bytes, sound.\n"
    )
    return DONE


def default_database() -> Path:
    """Where the server that this pack is installed in keeps its database, unless told otherwise on its command line."""
    folder = os.environ.get("EXPEDITOR_DATA_DIR")
    # The pack lies in ComfyUI's custom_nodes/, a neighbour of its user/.
    return (Path(folder) if folder else _PACK.parent.parent / "user" / "__expeditor") / DATABASE_NAME


def _connected(path: Path, mode: str = "ro") -> sqlite3.Connection:
    # isolation_level None: no statement opens a transaction but ours.
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", _BUSY_S, isolation_level=None, uri=True)
    connection.row_factory = sqlite3.Row
    return connection


def _copied(original: sqlite3.Connection, part: Path, progress: Progress) -> Backup:
    statements = load_statements("backup")
    # One transaction around all steps: without it, each commit of the server would begin the copy anew.
    original.execute(statements["begin"])
    identity = dict(original.execute(statements["identity"]).fetchone())
    if identity["application_id"] != APPLICATION_ID:
        raise BackupFailed("The file is not a database of Expeditor.")
    expected = {**identity, **dict(original.execute(statements["counts"]).fetchone())}
    part.unlink(missing_ok=True)
    with closing(_connected(part, "rwc")) as copy:
        original.backup(
            copy, pages=_STEP_PAGES, progress=lambda _, left, pages: progress(pages - left, pages), sleep=0.0
        )
        copy.execute(statements["one_file"])
        _prove(copy, statements, expected)
        unfinished: int = copy.execute(statements["waiting"]).fetchone()[0]
    return Backup(expected["jobs"], unfinished, part.stat().st_size)


def _prove(copy: sqlite3.Connection, statements: Mapping[str, str], expected: Mapping[str, int]) -> None:
    verdict = copy.execute(statements["integrity"]).fetchone()[0]
    if verdict != "ok":
        raise BackupFailed(f"The copy is damaged, and most likely the database is too: {verdict}.")
    found = {
        **dict(copy.execute(statements["identity"]).fetchone()),
        **dict(copy.execute(statements["counts"]).fetchone()),
    }
    if found != expected:
        raise BackupFailed(f"The copy is not complete: {found} in place of {expected}.")


def _arrive(part: Path, target: Path) -> None:
    """Give the copy its name once all of it is on the disk; an existing file is never overwritten."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    try:
        os.link(part, target)
    except FileExistsError:
        raise BackupFailed(f"{target} is there already and is not overwritten.") from None
    except OSError:  # a file system without links
        if target.exists():
            raise BackupFailed(f"{target} is there already and is not overwritten.") from None
        part.rename(target)
    if os.name == "posix":
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class _Bar:
    """Writes how far the copy is, a line for each tenth; nothing for a small one."""

    def __init__(self) -> None:
        self._told = 0

    def __call__(self, copied: int, pages: int) -> None:
        tenth = 10 * copied // pages if pages > _STEP_PAGES else 0
        if tenth > self._told:
            self._told = tenth
            sys.stderr.write(f"{10 * tenth} % of {pages} pages\n")


if __name__ == "__main__":
    sys.exit(main())
