"""The writer's ledger: what is unfinished stands in memory, so that a verb needs no look at the storage, and goes there at once.

Owns what the writer holds in memory of its storage: the line, virtual time, finish tags, the next ``seq``, whether it is paused,
learned means; and how to take changes back. Payloads and ended jobs stay in the storage. Either the storage is the writer's alone
(``lockfile``), or it says what others changed before anything is written (``bullmq``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from operator import attrgetter
from typing import Protocol

from ..jobs.events import JobEvent
from ..jobs.model import Attempt, Job, NewJob, Payload
from ..jobs.transitions import is_terminal
from .batches import NewBatch
from .changes import Changes, Forgetting, Pruned
from .ledger import ALL_SIGNATURES, KnownRows, StoredKey
from .line import Line
from .logbook import Logbook, NumberedRows

MEANS_MAX = 4096
"""The most learned means held in memory."""


class HeldMeans:
    """``Means`` of what the writer holds; for any thread."""

    def __init__(self, means: Mapping[str, float | None]) -> None:
        """The writer's, as they change."""
        self._means = means

    def mean_run_s(self, signature: str) -> float | None:
        """See ``Means``. ``KeyError`` for one that is not held: only the storage knows."""
        return self._means[signature]


class HeldRows(KnownRows, NumberedRows, Protocol):
    """What the ledger asks of its storage: everything at the start, and then what it does not hold."""

    def unfinished(self) -> list[Job]:
        """Every job that has not ended."""
        ...

    def last_seq(self) -> int:
        """The ``seq`` of the newest job; 0 before the first."""
        ...

    def virtual_time(self) -> float:
        """The virtual time; 0 at first."""
        ...

    def finish_tags(self) -> dict[str, dict[int, float]]:
        """Every principal's last finish tag per priority."""
        ...

    def known_ids(self, job_ids: Iterable[str]) -> set[str]:
        """Which of these ids a job has or had."""
        ...

    def request_keys(self, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredKey]:
        """Those of these request keys that are known."""
        ...

    def has_batch(self, batch_id: str) -> bool:
        """Whether there is a batch of this id."""
        ...

    def ended(self, job_ids: Iterable[str]) -> list[Job]:
        """Those of these jobs that have ended."""
        ...


class HeldLedger:
    """``Ledger`` on the writer's storage, used by one thread; ``line`` may be asked for places from any, and so may ``held``."""

    def __init__(self, rows: HeldRows, now_s: float, line: Line | None = None) -> None:
        """Read all that is held from the storage. It is ``now_s``: see ``promote``. ``line``: an empty one."""
        self.line = line or Line()
        self._rows = rows
        self._changes = Changes()
        self._undo: list[Callable[[], object]] = []
        self._absent: set[str] = set()
        self._asked_keys: dict[tuple[str, str], StoredKey | None] = {}
        self._means: dict[str, float | None] = {}
        self.held = HeldMeans(self._means)
        self._seq = rows.last_seq()
        self._virtual_time = rows.virtual_time()
        self._tags = rows.finish_tags()
        self._paused = rows.paused()
        self._logbook = Logbook(rows, self.on_undo)
        self.line.promote(now_s)
        signatures = {ALL_SIGNATURES}
        for job in sorted(rows.unfinished(), key=attrgetter("seq")):  # as they came: so each has its place at the end
            self.line.put(job)
            signatures.add(job.signature)
        for signature in list(signatures)[:MEANS_MAX]:
            self.mean_run_s(signature)

    def expect(self, job_ids: Iterable[str], keys: Sequence[tuple[str, str]]) -> None:
        """Look up which of the jobs that verbs are about to ask for do not and did not exist, and their request keys:
        one statement each for all."""
        asked = {job_id for job_id in job_ids if self.line.get(job_id) is None}
        self._absent = asked - self._rows.known_ids(asked) if asked else asked
        known = self._rows.request_keys(keys) if keys else {}
        self._asked_keys = {key: known.get(key) for key in keys}

    @property
    def changes(self) -> Changes:
        """What is changed and not written; the caller writes it and clears it."""
        return self._changes

    def mark(self) -> int:
        """Stands for now; see ``roll_back``. All before must have been taken."""
        return len(self._undo)

    def roll_back(self, mark: int = 0) -> None:
        """Take back all changes since ``mark``, in memory; the caller does the same in the storage."""
        self._changes.clear()
        self._absent.clear()
        self._asked_keys.clear()
        while len(self._undo) > mark:
            self._undo.pop()()

    def commit(self) -> None:
        """What was taken is in the storage for good."""
        self._undo.clear()
        self._logbook.commit()

    def job(self, job_id: str) -> Job | None:
        """See ``KnownRows``."""
        if job_id in self._changes.pruned:
            return None
        job = self.line.get(job_id) or self._changes.jobs.get(job_id)
        if job is not None or job_id in self._absent:
            return job
        return self._rows.job(job_id)

    def payload(self, job_id: str) -> Payload | None:
        """See ``KnownRows``."""
        return self._changes.payloads.get(job_id) or self._rows.payload(job_id)

    def keyed(self, principal: str, key: str) -> StoredKey | None:
        """See ``KnownRows``."""
        asked, gone = (principal, key), self._changes.forgetting
        stored = self._changes.keys.get(asked)
        if stored is None:
            stored = self._asked_keys[asked] if asked in self._asked_keys else self._rows.keyed(principal, key)
        if stored is None:
            return None
        return None if gone is not None and stored.created_at_s < gone.keys_before_s else stored

    def was_pruned(self, job_id: str) -> bool:
        """See ``KnownRows``. What a batch forgets is forgotten once it is written."""
        if any(job_id in (pruned, job.batch_id) for pruned, job in self._changes.pruned.items()):
            return True
        return job_id not in self._absent and self.line.get(job_id) is None and self._rows.was_pruned(job_id)

    def paused(self) -> bool:
        """See ``KnownRows``."""
        return self._paused

    def mean_run_s(self, signature: str) -> float | None:
        """See ``KnownRows``."""
        if signature not in self._means:
            if len(self._means) >= MEANS_MAX:
                self._means.clear()
                self._means.update({known: mean_s for known, (mean_s, _) in self._changes.means.items()})
            self._means[signature] = self._rows.mean_run_s(signature)
        return self._means[signature]

    def next_seq(self) -> int:
        """See ``Ledger``."""
        return self._seq + 1

    def known_ids(self, job_ids: AbstractSet[str]) -> AbstractSet[str]:
        """See ``Ledger``."""
        held = self._changes.jobs.keys() | self._changes.pruned.keys()
        here = {job_id for job_id in job_ids if job_id in held or self.line.get(job_id) is not None}
        asked = job_ids - here - self._absent
        return here | (self._rows.known_ids(asked) if asked else set())

    def has_batch(self, batch_id: str) -> bool:
        """See ``Ledger``."""
        return batch_id in self._changes.batches or self._rows.has_batch(batch_id)

    def require_room(self, new_jobs: Sequence[NewJob]) -> None:
        """See ``Ledger``."""

    def add_batch(self, batch: NewBatch) -> None:
        """See ``Ledger``."""
        self._changes.batches[batch.id] = batch

    def add(self, job: Job, payload: Payload) -> None:
        """See ``Ledger``."""
        self._undo.append(partial(setattr, self, "_seq", self._seq))
        self._seq = job.seq
        self._changes.payloads[job.id] = payload
        self._logbook.begin(job.seq)
        self.save(job)

    def save(self, job: Job) -> None:
        """See ``Ledger``."""
        before = self.line.get(job.id)
        undo = partial(self.line.remove, job.id) if before is None else partial(self.line.put, before)
        self._undo.append(undo)
        self.line.put(job)
        self._changes.jobs[job.id] = job
        for attempt in _attempts_changed(before, job):
            self._changes.attempts[(job.seq, attempt.number)] = attempt
        if before is not None and before.attempt > job.attempt:
            self._changes.attempts[(job.seq, before.attempt)] = None

    def log(self, events: tuple[JobEvent, ...]) -> tuple[JobEvent, ...]:
        """See ``Ledger``."""
        numbered = self._logbook.numbered(events)
        for event in numbered:
            self._changes.events[event.job.seq].append(event)
        return numbered

    def set_history(self, job: Job, history_json: str | None) -> None:
        """See ``Ledger``."""
        self._changes.histories[job.seq] = history_json

    def set_key(self, key: StoredKey) -> None:
        """See ``Ledger``."""
        self._changes.keys[(key.principal, key.key)] = key

    def first(self, limit: int) -> list[Job]:
        """See ``Ledger``."""
        return self.line.first(limit)

    def head_score(self, but: str) -> float | None:
        """See ``Ledger``."""
        return self.line.head_score(but)

    def promote(self, now_s: float) -> bool:
        """See ``Ledger``. Not taken back: time goes on whether a batch is stored or not."""
        return self.line.promote(now_s)

    def expired(self, now_s: float) -> list[Job]:
        """See ``Ledger``."""
        return self.line.expired(now_s)

    def queued(self) -> list[Job]:
        """See ``Ledger``."""
        return self.line.queued()

    def payloads_come(self, jobs: Sequence[Job]) -> None:
        """See ``Ledger``."""

    def on_machine(self) -> list[Job]:
        """See ``Ledger``."""
        return self.line.on_machine()

    def abandoned(self) -> list[Job]:
        """See ``Ledger.abandoned``."""
        return []

    def of_principal(self, principal: str) -> list[Job]:
        """See ``Ledger``."""
        return self.line.of_principal(principal)

    def waits(self, job_id: str) -> bool:
        """See ``Ledger``."""
        job = self.line.get(job_id)
        return job is not None and job.in_line

    def idle(self) -> bool:
        """See ``Ledger``."""
        return self.line.empty()

    def ended(self, job_ids: Sequence[str]) -> list[Job]:
        """See ``Ledger``."""
        known = {job.id: job for job in self._rows.ended([job_id for job_id in job_ids if not self.line.get(job_id)])}
        known |= self._changes.jobs
        found = (known.get(job_id) for job_id in job_ids if job_id not in self._changes.pruned)
        return [job for job in found if job is not None and is_terminal(job.status)]

    def prune(self, job: Job, at_s: float) -> None:
        """See ``Ledger``."""
        batch_id = None if job.slot is None else job.slot.batch_id
        self._changes.pruned[job.id] = Pruned(job.seq, at_s, batch_id)

    def forget(self, keys_before_s: float, pruned_before_s: float, means_max: int) -> None:
        """See ``Ledger``."""
        before = self._changes.forgetting or Forgetting(keys_before_s, pruned_before_s, means_max)
        keys_s, pruned_s = max(keys_before_s, before.keys_before_s), max(pruned_before_s, before.pruned_before_s)
        self._changes.forgetting = Forgetting(keys_s, pruned_s, means_max)
        self._means.clear()
        self._means.update({signature: mean_s for signature, (mean_s, _) in self._changes.means.items()})

    def forget_history(self, job_ids: Sequence[str] | None) -> None:
        """See ``Ledger``."""
        self._changes.forget_history(job_ids)

    def set_paused(self, paused: bool) -> None:
        """See ``Ledger``."""
        self._undo.append(partial(setattr, self, "_paused", self._paused))
        self._paused = self._changes.paused = paused

    def virtual_time(self) -> float:
        """See ``Ledger``."""
        return self._virtual_time

    def touch(self) -> None:
        """See ``Ledger``."""
        self._changes.virtual_time = self._virtual_time

    def set_virtual_time(self, value: float) -> None:
        """See ``Ledger``."""
        if value == self._virtual_time:
            return
        self._undo.append(partial(self._set_ordering, self._virtual_time, self._tags))
        left = {name: {level: tag for level, tag in tags.items() if tag > value} for name, tags in self._tags.items()}
        self._set_ordering(value, {name: tags for name, tags in left.items() if tags})
        self._changes.virtual_time = value
        for level in [level for level, finish in self._changes.tags.items() if finish <= value]:
            del self._changes.tags[level]

    def finish_tags(self, principal: str) -> Mapping[int, float]:
        """See ``Ledger``."""
        return self._tags.get(principal, {})

    def largest_finish_tag(self) -> float | None:
        """See ``Ledger``."""
        return max((finish for tags in self._tags.values() for finish in tags.values()), default=None)

    def set_finish_tag(self, principal: str, priority: int, finish: float) -> None:
        """See ``Ledger``."""
        before = self._tags.get(principal, {})
        self._undo.append(partial(self._tags.__setitem__, principal, before))
        self._tags[principal] = {**before, priority: finish}
        self._changes.tags[(principal, priority)] = finish

    def set_mean_run_s(self, means: Iterable[tuple[str, float]], at_s: float) -> None:
        """See ``Ledger``."""
        for signature, mean_s in means:
            self._undo.append(partial(self._means.pop, signature, None))
            self._means[signature] = mean_s
            self._changes.means[signature] = (mean_s, at_s)

    def on_undo(self, take_back: Callable[[], object]) -> None:
        """See ``Ledger``."""
        self._undo.append(take_back)

    def _set_ordering(self, virtual_time: float, tags: dict[str, dict[int, float]]) -> None:
        self._virtual_time = virtual_time
        self._tags = tags


def _attempts_changed(before: Job | None, job: Job) -> tuple[Attempt, ...]:
    """The attempts that the storage does not have as they are; a job that is read from it has only its last to change."""
    if before is None:
        return job.attempts[-1:]
    known = before.attempts
    return tuple(attempt for at, attempt in enumerate(job.attempts) if at >= len(known) or known[at] is not attempt)
