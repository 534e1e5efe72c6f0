"""The note beside a database that its jobs are on their way to another store, or from one: while it is there, no server opens the file.

Owns the note's file: written whole or not at all. Not owned: the move (``runtime.moving``).
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...jobs.errors import StoreUnavailable


@dataclass(frozen=True, slots=True)
class UnfinishedMove:
    """A move that began and did not end. ``leaving``: out of the file, else into it; ``other``: the other store, without secrets;
    ``shift_s``: see ``MovingStore.adopt``, None before the first; ``part``: the jobs that may be in both."""

    leaving: bool
    other: str
    shift_s: float | None = None
    part: tuple[str, ...] = ()


class MoveNote:
    """The note beside the database ``path``."""

    def __init__(self, path: Path) -> None:
        """Touch nothing yet."""
        self.path = path.with_name(path.name + ".moving")

    def read(self) -> UnfinishedMove | None:
        """The move that is not finished, or None. ``StoreUnavailable`` for a note that cannot be read."""
        try:
            plain: dict[str, Any] = json.loads(self.path.read_text("utf-8"))
            return UnfinishedMove(plain["leaving"], plain["other"], plain["shift_s"], tuple(plain["part"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as fault:
            raise StoreUnavailable(f"{self.path} cannot be read: {fault}.") from fault

    def write(self, move: UnfinishedMove) -> None:
        """Keep it, on the disk, in place of what was there."""
        new = self.path.with_name(self.path.name + ".new")
        with new.open("w", encoding="utf-8") as file:
            json.dump(asdict(move), file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
        self._settle()

    def remove(self) -> None:
        """The move is finished."""
        self.path.unlink(missing_ok=True)
        self._settle()

    def refuse(self) -> None:
        """``StoreUnavailable`` while a move is not finished: a job might run here and there."""
        move = self.read()
        if move is None:
            return
        way = "from here to" if move.leaving else "to here from"
        raise StoreUnavailable(
            f"Moving jobs {way} {move.other} was not finished: run the same command again (docs/cluster.md says more). {self.path} "
            "says so."
        )

    def _settle(self) -> None:
        if os.name == "posix":
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
