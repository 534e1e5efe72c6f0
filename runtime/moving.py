"""Moving waiting jobs from one store to another, in parts, so that killed at any moment no job is lost and none runs twice.

One of the two is a database file that no server has open, and that none can open before the move is finished: a note beside it says so
before the first job is touched. Of each part: noted, copied, taken in by the other store (``adopt``), let go by the first. Who goes on
after a kill begins with the part that was noted. A job that began to run in a shared store while it was copied stays there.

Owns the order of these steps. Not owned: what the verbs do (``store.moving``), the note (``store.sqlite.unfinished``), what the command
says (``runtime.migrate``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from ..jobs.model import Job, JobStatus
from ..store.base import JobStore
from ..store.moving import Carried
from ..store.records import JobQuery
from ..store.sqlite.unfinished import UnfinishedMove

T = TypeVar("T")

PART_JOBS = 100
PART_BYTES = 32 * 1024 * 1024
"""A part is cut earlier when its prompts are longer than this together."""
VERB_S = 120.0
"""How long a verb may take: the first of a large file reads all of it."""

Progress = Callable[[int, int], None]
"""Hears how many jobs of how many are done with."""


class Note(Protocol):
    """``store.sqlite.unfinished.MoveNote``."""

    def read(self) -> UnfinishedMove | None:
        """The move that is not finished."""
        ...

    def write(self, move: UnfinishedMove) -> None:
        """Keep it."""
        ...

    def remove(self) -> None:
        """Forget it."""
        ...


@dataclass(frozen=True, slots=True)
class Moved:
    """``moved``: are there now, and were not before this call; ``there``: were there already, of a call that was killed; ``kept``: began to
    run or ended before they could be let go, or their id stands for another job there."""

    moved: int = 0
    there: int = 0
    kept: int = 0


class OtherMove(Exception):
    """Another move was not finished; the text says which."""


@dataclass(frozen=True, slots=True)
class Move:
    """Jobs of ``source`` to ``target``. ``leaving``: whether the file is the source. ``other``: the shared store, as the note calls it.

    ``chosen`` says which of the waiting jobs; ``origin`` is what they then have as theirs.
    """

    source: JobStore
    target: JobStore
    note: Note
    leaving: bool
    other: str
    chosen: Callable[[Job], bool]
    origin: str | None

    def waiting(self) -> list[str]:
        """The ids of the chosen jobs that wait, by arrival."""
        found: list[str] = []
        cursor: str | None = None
        while True:
            query = JobQuery(statuses=(JobStatus.QUEUED,), limit=1000, cursor=cursor)
            page = _done(self.source.page(query))
            found += [job.id for job in page.jobs if self.chosen(job)]
            cursor = page.next_cursor
            if cursor is None:
                return found[::-1]

    def run(self, progress: Progress) -> Moved:
        """Move them all; what an earlier call left undone first. ``OtherMove`` when that was another one."""
        unfinished = self.note.read()
        if unfinished is not None and (unfinished.leaving, unfinished.other) != (self.leaving, self.other):
            way = "to" if unfinished.leaving else "from"
            raise OtherMove(f"A move {way} {unfinished.other} was not finished: finish it first.")
        move = unfinished or UnfinishedMove(self.leaving, self.other)
        total = Moved()
        if move.part:
            move, total = self._part(move, total, _done(self.source.carried(move.part)))
        ids = self.waiting()
        for at in range(0, len(ids), PART_JOBS):
            for part in _cut(_done(self.source.carried(ids[at : at + PART_JOBS]))):
                move, total = self._part(replace(move, part=tuple(one.job.id for one in part)), total, part)
            progress(min(at + PART_JOBS, len(ids)), len(ids))
        self.note.remove()
        return total

    def _part(self, move: UnfinishedMove, total: Moved, carried: Sequence[Carried]) -> tuple[UnfinishedMove, Moved]:
        self.note.write(move)
        arriving = [replace(one, job=replace(one.job, origin=self.origin)) for one in carried]
        new: frozenset[str] = frozenset()
        if arriving:
            adopted = _done(self.target.adopt(arriving, move.shift_s))
            new = frozenset(adopted.job_ids)
            if move.shift_s is None:
                move = replace(move, shift_s=adopted.shift_s)
                self.note.write(move)  # before any job is let go: what comes later is shifted alike
        same = [one.job.id for one in carried if one.job.id in new or self._is_there(one.job)]
        gone = frozenset(_done(self.source.let_go(same)))
        kept = [job for job_id in move.part if job_id not in gone and (job := _done(self.source.get(job_id)))]
        _done(self.target.let_go([job.id for job in kept if self._is_there(job)]))
        return move, Moved(total.moved + len(gone & new), total.there + len(gone - new), total.kept + len(kept))

    def _is_there(self, job: Job) -> bool:
        """Whether the target has this very job, not another of its id."""
        there = _done(self.target.get(job.id))
        return there is not None and there.created_at_s == job.created_at_s


def _cut(carried: Sequence[Carried]) -> Iterator[list[Carried]]:
    """Parts that fit into memory and into one commit."""
    part: list[Carried] = []
    held_bytes = 0
    for one in carried:
        size = len(one.payload.prompt_json) + len(one.payload.extra_json)
        if part and held_bytes + size > PART_BYTES:
            yield part
            part, held_bytes = [], 0
        part.append(one)
        held_bytes += size
    if part:
        yield part


def _done(future: Future[T]) -> T:
    return future.result(VERB_S)
