"""The ledger of one member: all that is unfinished in its memory, and brought up to what others committed before it writes.

Owns what is remembered for a batch beside ``HeldLedger``'s changes, and how another's commit gets in. Used by the writing thread; ``line``
by any.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from ...jobs.events import LoggedEvent
from ...jobs.model import Job, NewJob, Payload
from ...jobs.transitions import is_terminal
from ..base import Room
from ..changes import Changes
from ..held import HeldLedger
from .crowd import CountedLine
from .keys import id_of_key
from .packing import text_unpacked, unpacked
from .pools import PooledLine
from .records import Kept, event_of, readable
from .rows import State
from .start import WriterRows


class View(NamedTuple):
    """What others committed since somebody looked last. ``whole`` is false when it was too much: then look at everything anew."""

    state: State | None
    tokens: tuple[str, ...]
    also: tuple[dict[str, Any], ...]
    jobs: tuple[tuple[str, Kept | None], ...]
    events: tuple[LoggedEvent, ...]
    whole: bool

    @classmethod
    def of(cls, answer: bytes) -> View:
        """From the answer of ``view.lua``. ``ValueError``, ``TypeError`` or ``LookupError`` for what is none."""
        head, entries, keys, packed, logged, whole = unpacked(answer)
        fields = [dict(zip(entry[1][::2], entry[1][1::2], strict=True)) for entry in entries]
        ids = [id_of_key(key) for key in keys]
        jobs = tuple(
            zip(ids, readable((one, record or None) for one, record in zip(ids, packed, strict=True)), strict=True)
        )
        events: list[LoggedEvent] = []
        for position, entry in logged:
            told = dict(zip(entry[::2], entry[1::2], strict=True))
            events.append(event_of(int(position.partition(b"-")[0]), id_of_key(told[b"j"]), told))
        return cls(
            State.of([None if value is False else value for value in head]),
            tuple(one[b"w"].decode("ascii") for one in fields),
            tuple(text_unpacked(one[b"x"]) for one in fields),
            jobs,
            tuple(events),
            bool(whole),
        )


class BullmqLedger(HeldLedger):
    """See the module's docstring. ``abandoned_among`` says which of some jobs on machines have lost their lease."""

    def __init__(
        self,
        rows: WriterRows,
        now_s: float,
        pools: Collection[str] | None,
        here: str | None,
        abandoned_among: Callable[[Sequence[Job]], list[Job]],
        room: Room | None = None,
    ) -> None:
        """Take over what ``rows`` has read. ``here``: this member's name. ``room`` says whether more may wait; None: always."""
        self._begun = rows
        self._told: dict[str, tuple[tuple[int, ...], int, int, tuple[Any, ...]]] = {
            kept.job.id: kept[1:] for kept in rows.live
        }
        self._room = room
        self.state = rows.begun
        self.pools = rows.pools
        self.before: dict[str, Kept] = {}
        self.lost: set[str] = set()
        self._abandoned_among = abandoned_among
        self._counted = CountedLine(PooledLine(pools, here), self._size_bytes)
        super().__init__(rows, now_s, self._counted)

    def begin(self) -> None:
        """A batch begins."""
        self._begun.anew()
        self.before.clear()
        self.lost.clear()
        self._absent.clear()
        self._asked_keys.clear()

    @property
    def assumed(self) -> tuple[frozenset[str], tuple[tuple[str, str], ...]]:
        """The ids and request keys that are taken for unknown without a look: the commit must make sure."""
        return frozenset(self._absent), tuple(key for key, found in self._asked_keys.items() if found is None)

    def assume(self, job_ids: Iterable[str], keys: Iterable[tuple[str, str]]) -> None:
        """Take what is not held for unknown: see ``assumed``."""
        self._absent = {job_id for job_id in job_ids if self.line.get(job_id) is None}
        self._asked_keys = dict.fromkeys(keys)

    def require_room(self, new_jobs: Sequence[NewJob]) -> None:
        """See ``Ledger``. Exact: a commit on anything else than the latest is refused and the verb run again."""
        if self._room is not None:
            self._room(self._counted.crowd(), new_jobs)

    def add(self, job: Job, payload: Payload) -> None:
        """See ``Ledger``."""
        self._told[job.id] = ((), 0, payload.size_bytes, ())
        self._undo.append(partial(self._told.pop, job.id, None))
        super().add(job, payload)

    def save(self, job: Job) -> None:
        """See ``Ledger``."""
        self._note(job.id)
        super().save(job)

    def prune(self, job: Job, at_s: float) -> None:
        """See ``Ledger``."""
        self._note(job.id)
        super().prune(job, at_s)

    def forget_history(self, job_ids: Sequence[str] | None) -> None:
        """See ``Ledger``."""
        for kept_job in self._begun.ended(job_ids or ()):
            self._note(kept_job.id)
        super().forget_history(job_ids)

    def payloads_come(self, jobs: Sequence[Job]) -> None:
        """See ``Ledger``. They are read many at once."""
        self._begun.payloads_come([job.id for job in jobs if job.id not in self._changes.payloads])

    def payload(self, job_id: str) -> Payload | None:
        """See ``KnownRows``."""
        return self._changes.payloads.get(job_id) or self._begun.payload(job_id)

    def abandoned(self) -> list[Job]:
        """See ``Ledger.abandoned``."""
        running = [job for job in self.on_machine() if job.attempts and job.attempts[-1].outcome is None]
        lost = self._abandoned_among(running) if running else []
        self.lost.update(job.id for job in lost)
        return lost

    def number_of(self, job: Job) -> Kept:
        """An unfinished job with what is known of its events."""
        return Kept(job, *self._told.get(job.id, ((), 0, 0, ())))

    def committed(self, changed: Iterable[Kept], changes: Changes, epoch: float | None) -> None:
        """The batch is in Redis for good; ``epoch``: that of the ranks, if it moved."""
        for kept in changed:
            if is_terminal(kept.job.status):
                self._told.pop(kept.job.id, None)
            else:
                self._told[kept.job.id] = kept[1:]
        for job_id in changes.pruned:
            self._told.pop(job_id, None)
        before = self.state
        self.state = State(
            birth=before.birth,
            version=before.version + 1,
            seq=self._seq,
            position=self._logbook.position,
            forgotten=before.forgotten,
            virtual_time=self._virtual_time,
            paused=self._paused,
            epoch=before.epoch if epoch is None else epoch,
        )
        changes.clear()
        self.commit()

    def catch_up(self, view: View) -> bool:
        """Take over what others committed; nothing of ours may be under way. Whether something may be claimable that was not."""
        assert view.state is not None, "there is a queue"
        woken = self._paused and not view.state.paused
        for job_id, kept in view.jobs:
            if kept is None or is_terminal(kept.job.status):
                self._drop(job_id)
            else:
                self._told[job_id] = kept[1:]
                self._logbook.heard(kept.job.seq, kept.number)
                self.line.put(kept.job)
                woken = woken or kept.job.in_line
        tags = {name: dict(levels) for name, levels in self._tags.items()}
        for also in view.also:
            for principal, level, finish in also.get("t", ()):
                tags.setdefault(principal, {})[level] = finish
            self._means.update(dict(also.get("m", ())))
            if also.get("f"):
                self._means.clear()
            self.pools.update(also.get("p", ()))
        now = view.state.virtual_time
        left = {name: {level: tag for level, tag in levels.items() if tag > now} for name, levels in tags.items()}
        self._set_ordering(now, {name: levels for name, levels in left.items() if levels})
        self._seq, self._paused, self.state = view.state.seq, view.state.paused, view.state
        self._logbook.heard_until(view.state.position)
        return woken

    @property
    def position(self) -> int:
        """The position of the newest event, those of the batch included."""
        return self._logbook.position

    @property
    def seq(self) -> int:
        """The ``seq`` of the newest job, those of the batch included."""
        return self._seq

    def _size_bytes(self, job_id: str) -> int:
        told = self._told.get(job_id)
        if told is None:
            before = self.before.get(job_id)
            return 0 if before is None else before.size_bytes
        return told[2]

    def _drop(self, job_id: str) -> None:
        self._told.pop(job_id, None)
        job = self.line.get(job_id)
        if job is not None:
            self.line.remove(job_id)
            self._logbook.heard(job.seq, None)

    def _note(self, job_id: str) -> None:
        if (
            job_id in self.before or job_id in self._changes.payloads
        ):  # one that is new in this batch was nothing before
            return
        held = self.line.get(job_id)
        if held is not None:
            self.before[job_id] = self.number_of(held)
        elif (stored := self._begun.fetched(job_id)) is not None:
            self.before[job_id] = stored
