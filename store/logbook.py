"""What the writer must know to number events: the last position, and the last number of each unfinished job.

Owns these in memory. Does not own the rows (``changes``), nor when numbers are taken back (the ledger's undo).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from ..jobs.events import JobEvent
from ..jobs.model import Job
from ..jobs.transitions import is_terminal


class NumberedRows(Protocol):
    """What was numbered before."""

    def last_position(self) -> int:
        """The position of the newest event there ever was; 0 before the first."""
        ...

    def last_numbers(self) -> dict[int, int]:
        """The number of the last event of each unfinished job, by ``seq``."""
        ...

    def last_number(self, job: Job) -> int:
        """The number of a job's last event; 0 before the first."""
        ...


class Logbook:
    """Used by the writing thread alone."""

    def __init__(self, rows: NumberedRows, on_undo: Callable[[Callable[[], object]], None]) -> None:
        """Read from the storage what was numbered before. ``on_undo``: see ``Ledger.on_undo``."""
        self._rows = rows
        self._on_undo = on_undo
        self._position = rows.last_position()
        self._numbers = rows.last_numbers()
        self._ended: list[int] = []

    def begin(self, seq: int) -> None:
        """A job is new: it has no event yet."""
        self._numbers[seq] = 0
        self._on_undo(partial(self._numbers.pop, seq, None))

    def numbered(self, events: tuple[JobEvent, ...]) -> tuple[JobEvent, ...]:
        """The events with their positions and numbers."""
        self._on_undo(partial(setattr, self, "_position", self._position))
        return tuple(self._next(event) for event in events)

    @property
    def position(self) -> int:
        """The position of the latest event that was numbered."""
        return self._position

    def heard(self, seq: int, number: int | None) -> None:
        """Somebody else numbered a job's events up to this one; None: the job has ended."""
        if number is None:
            self._numbers.pop(seq, None)
        else:
            self._numbers[seq] = number

    def heard_until(self, position: int) -> None:
        """Somebody else numbered events up to this position."""
        self._position = position

    def commit(self) -> None:
        """What was numbered is in the storage for good: of jobs that have ended nothing needs to be known."""
        for seq in self._ended:
            self._numbers.pop(seq, None)
        self._ended.clear()

    def _next(self, event: JobEvent) -> JobEvent:
        seq = event.job.seq
        known = self._numbers.get(seq)
        before = self._rows.last_number(event.job) if known is None else known
        self._on_undo(
            partial(self._numbers.pop, seq, None) if known is None else partial(self._numbers.__setitem__, seq, known)
        )
        self._position += 1
        self._numbers[seq] = before + 1
        if is_terminal(event.job.status):
            self._ended.append(seq)
        return event.numbered(self._position, before + 1)
