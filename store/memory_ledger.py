"""The rows of the queue in memory: the reference of what a ledger finds and keeps.

Owns the rows, in dictionaries and one sorted list. Decides nothing; nothing survives the process.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice

from ..jobs.asset_ids import output_asset_id
from ..jobs.belonging import is_home
from ..jobs.leftovers import FileName, made_by, texts_of
from ..jobs.model import Job, JobStatus, NewJob, Payload
from ..jobs.ordering import sort_key
from ..jobs.transitions import is_terminal
from .base import Finished
from .batches import Batch, NewBatch
from .ledger import ALL_SIGNATURES, Aside, StoredKey
from .memory_log import MemoryLog
from .records import Ahead, DepthRow, JobQuery, Place

_WORKING = frozenset({JobStatus.RUNNING, JobStatus.CANCELING})
_Key = tuple[float, float, int]


class MemoryLedger:
    """Rows in dictionaries and one sorted list. Give the same ledger to a second store to play a restart."""

    def __init__(self) -> None:
        """Empty."""
        self._jobs: dict[str, Job] = {}
        self._payloads: dict[str, Payload] = {}
        self._ids: list[str] = []  # by arrival: the job of seq n stands at n - 1
        self._unfinished: dict[str, Job] = {}
        self._timed: dict[str, Job] = {}  # queued and parked jobs with a time limit
        self._line: list[_Key] = []  # claimable jobs by their key
        self._now_s = -math.inf
        self._paused = False
        self._virtual_time = 0.0
        self._finish_tags: dict[tuple[str, int], float] = {}
        self._means: dict[str, tuple[float, float]] = {}  # mean, learned at
        self._histories: dict[str, str] = {}
        self._keys: dict[tuple[str, str], StoredKey] = {}
        self._pruned: dict[str, float] = {}
        self._makers: dict[str, str] = {}  # job ids by the ids of their outputs as assets
        self._log = MemoryLog()
        self.log = self._log.log
        self.events = self._log.events
        self.last_position = self._log.last_position
        self.forgotten_position = self._log.forgotten_position
        self._batches: dict[str, tuple[NewBatch, set[str]]] = {}  # with the ids of its jobs that are there

    def job(self, job_id: str) -> Job | None:
        """See ``KnownRows``."""
        return self._jobs.get(job_id)

    def payload(self, job_id: str) -> Payload | None:
        """See ``KnownRows``."""
        return self._payloads.get(job_id)

    def keyed(self, principal: str, key: str) -> StoredKey | None:
        """See ``KnownRows``."""
        return self._keys.get((principal, key))

    def was_pruned(self, job_id: str) -> bool:
        """See ``KnownRows``."""
        return job_id in self._pruned

    def paused(self) -> bool:
        """See ``KnownRows``."""
        return self._paused

    def maker(self, asset_id: str) -> Job | None:
        """See ``ReadLedger``."""
        return self._jobs.get(self._makers.get(asset_id, ""))

    def newest(self, query: JobQuery, before_seq: int | None, limit: int) -> list[Job]:
        """See ``ReadLedger``."""
        ids = self._ids if before_seq is None else self._ids[: max(0, before_seq - 1)]
        found = (job for job_id in reversed(ids) if (job := self._jobs.get(job_id)) and query.wants(job))
        return list(islice(found, limit))

    def depth(self) -> list[DepthRow]:
        """See ``ReadLedger``."""
        groups: defaultdict[tuple[str, int, JobStatus], list[float]] = defaultdict(list)
        for job in self._unfinished.values():
            groups[(job.principal.name, job.priority, job.status)].append(job.estimated_s)
        return [DepthRow(*group, jobs=len(work), work_s=sum(work)) for group, work in sorted(groups.items())]

    def oldest_queued_at_s(self) -> float | None:
        """See ``ReadLedger``."""
        return min((self._at(key).queued_at_s for key in self._line), default=None)

    def aside(self) -> Aside:
        """See ``ReadLedger``."""
        held = sum(job.held for job in self._unfinished.values())
        delayed = [job for job in self._timed.values() if job.status is JobStatus.QUEUED and not self._claimable(job)]
        return Aside(held, sum(not job.held for job in delayed))

    def places(self, job_ids: Sequence[str]) -> dict[str, Place]:
        """See ``ReadLedger``."""
        found: dict[str, Place] = {}
        for job_id in job_ids:
            before = self._before(job_id)
            if before is not None:
                work = [*before, *self._working()]
                found[job_id] = Place(len(before) + 1, sum(job.estimated_s for job in work))
        return found

    def ahead(self, job_id: str) -> Ahead | None:
        """See ``ReadLedger``."""
        before = self._before(job_id)
        if before is None:
            return None
        own, working = self._jobs[job_id].principal.name, self._working()
        return Ahead(
            waiting=dict(Counter(job.priority for job in before)),
            own=sum(job.principal.name == own for job in before),
            running=len(working),
            work_s=sum(job.estimated_s for job in (*before, *working)),
        )

    def ended_before(
        self, status: JobStatus, before_s: float, limit: int, spared: AbstractSet[str] = frozenset()
    ) -> list[Job]:
        """See ``ReadLedger``."""
        found = [job for job in self._ended_in(status) if _end(job)[0] < before_s]
        return [job for job in found if job.origin not in spared][:limit]

    def ended_beyond(
        self, status: JobStatus, count: int, limit: int, spared: AbstractSet[str] = frozenset()
    ) -> list[Job]:
        """See ``ReadLedger``."""
        ended = self._ended_in(status)
        return [job for job in ended[: max(0, len(ended) - count)] if job.origin not in spared][:limit]

    def batch(self, batch_id: str) -> Batch | None:
        """See ``ReadLedger``."""
        if batch_id not in self._batches:
            return None
        batch, ids = self._batches[batch_id]
        statuses = Counter(self._jobs[job_id].status for job_id in ids)
        return Batch(batch.id, batch.principal, batch.created_at_s, batch.count, batch.about, dict(statuses))

    def last_seq(self) -> int:
        """See ``ReadLedger``."""
        return len(self._ids)

    def request_keys_of(self, job_ids: AbstractSet[str]) -> list[StoredKey]:
        """See ``ReadLedger``."""
        return [key for key in self._keys.values() if key.job_id in job_ids]

    def named(
        self,
        outputs: AbstractSet[FileName],
        texts: AbstractSet[str],
        but: AbstractSet[str],
        after_seq: int,
        up_to_seq: int,
    ) -> tuple[frozenset[FileName], frozenset[str]]:
        """See ``ReadLedger``."""
        jobs = [job for one in self._ids[after_seq:up_to_seq] if (job := self._jobs.get(one)) and one not in but]
        prompts = (self._payloads[job.id].prompt_json for job in jobs) if texts else ()
        held = frozenset(text for prompt in prompts for text in texts_of(prompt))
        return made_by(jobs) & outputs, held & texts

    def finished(self, limit: int, home: str | None = None) -> list[Finished]:
        """See ``ReadLedger``."""
        ended = (job for job_id in self._histories if is_terminal((job := self._jobs[job_id]).status))
        shown = sorted((job for job in ended if is_home(job, home)), key=_end)
        newest = shown[max(0, len(shown) - limit) :]
        return [Finished(job, self._payloads[job.id], self._histories[job.id]) for job in newest]

    def history(self, job_id: str) -> str | None:
        """See ``ReadLedger``."""
        return self._histories.get(job_id)

    def mean_run_s(self, signature: str) -> float | None:
        """See ``KnownRows``."""
        known = self._means.get(signature)
        return None if known is None else known[0]

    def next_seq(self) -> int:
        """See ``Ledger``."""
        return len(self._ids) + 1

    def known_ids(self, job_ids: AbstractSet[str]) -> AbstractSet[str]:
        """See ``Ledger``."""
        return {job_id for job_id in job_ids if job_id in self._jobs or job_id in self._pruned}

    def has_batch(self, batch_id: str) -> bool:
        """See ``Ledger``."""
        return batch_id in self._batches

    def require_room(self, new_jobs: Sequence[NewJob]) -> None:
        """See ``Ledger``."""

    def add_batch(self, batch: NewBatch) -> None:
        """See ``Ledger``."""
        ids = {job.id for job in self._jobs.values() if job.slot is not None and job.slot.batch_id == batch.id}
        self._batches[batch.id] = (batch, ids)

    def add(self, job: Job, payload: Payload) -> None:
        """See ``Ledger``."""
        self._ids.append(job.id)
        self._payloads[job.id] = payload
        if job.slot is not None and job.slot.batch_id in self._batches:
            self._batches[job.slot.batch_id][1].add(job.id)
        self.save(job)

    def save(self, job: Job) -> None:
        """See ``Ledger``."""
        stored = self._jobs.get(job.id)
        if stored is not None and self._claimable(stored):
            del self._line[bisect_left(self._line, _key(stored))]
        self._timed.pop(job.id, None)
        self._unfinished.pop(job.id, None)
        self._jobs[job.id] = job
        self._makers.update((output_asset_id(job.id, output), job.id) for output in job.outputs)
        if not is_terminal(job.status):
            self._unfinished[job.id] = job
        if job.in_line and (job.not_before_s is not None or job.expires_at_s is not None):
            self._timed[job.id] = job
        if self._claimable(job):
            insort(self._line, _key(job))

    def set_history(self, job: Job, history_json: str | None) -> None:
        """See ``Ledger``."""
        self._histories.pop(job.id, None)
        if history_json is not None:
            self._histories[job.id] = history_json

    def set_key(self, key: StoredKey) -> None:
        """See ``Ledger``."""
        self._keys[(key.principal, key.key)] = key

    def first(self, limit: int) -> list[Job]:
        """See ``Ledger``."""
        return [self._at(key) for key in self._line[:limit]]

    def head_score(self, but: str) -> float | None:
        """See ``Ledger``."""
        return next((key[0] for key in self._line[:2] if self._at(key).id != but), None)

    def promote(self, now_s: float) -> bool:
        """See ``Ledger``."""
        delayed = [job for job in self._timed.values() if not job.held and not self._claimable(job)]
        self._now_s = max(now_s, self._now_s)
        due = [job for job in delayed if self._claimable(job)]
        for job in due:
            insort(self._line, _key(job))
        return bool(due)

    def expired(self, now_s: float) -> list[Job]:
        """See ``Ledger``."""
        timed = (job for job in self._timed.values() if job.status is JobStatus.QUEUED)
        over = [(s, job.seq, job) for job in timed if (s := job.expires_at_s) is not None and s <= now_s]
        return [job for _, _, job in sorted(over, key=lambda found: found[:2])]

    def queued(self) -> list[Job]:
        """See ``Ledger``."""
        return sorted((job for job in self._unfinished.values() if job.in_line), key=_key)

    def payloads_come(self, jobs: Sequence[Job]) -> None:
        """See ``Ledger``."""

    def on_machine(self) -> list[Job]:
        """See ``Ledger``."""
        return sorted((job for job in self._unfinished.values() if not job.in_line), key=lambda job: job.seq)

    def abandoned(self) -> list[Job]:
        """See ``Ledger.abandoned``."""
        return []

    def of_principal(self, principal: str) -> list[Job]:
        """See ``Ledger``."""
        return [job for job in self._unfinished.values() if job.principal.name == principal]

    def waits(self, job_id: str) -> bool:
        """See ``Ledger``."""
        job = self._unfinished.get(job_id)
        return job is not None and job.in_line

    def idle(self) -> bool:
        """See ``Ledger``."""
        return not self._unfinished

    def ended(self, job_ids: Sequence[str]) -> list[Job]:
        """See ``Ledger``."""
        return [job for job_id in job_ids if (job := self._jobs.get(job_id)) and is_terminal(job.status)]

    def prune(self, job: Job, at_s: float) -> None:
        """See ``Ledger``."""
        for rows in (self._jobs, self._payloads, self._histories):
            rows.pop(job.id, None)
        for output in job.outputs:
            self._makers.pop(output_asset_id(job.id, output), None)
        self._log.forget(job.id)
        self._ids[job.seq - 1] = ""  # the id may come back, with another seq
        self._pruned[job.id] = at_s
        if job.slot is not None and job.slot.batch_id in self._batches:
            _, left = self._batches[job.slot.batch_id]
            left.discard(job.id)
            if not left:
                del self._batches[job.slot.batch_id]
                self._pruned[job.slot.batch_id] = at_s

    def forget(self, keys_before_s: float, pruned_before_s: float, means_max: int) -> None:
        """See ``Ledger``."""
        self._keys = {asked: key for asked, key in self._keys.items() if key.created_at_s >= keys_before_s}
        self._pruned = {job_id: at_s for job_id, at_s in self._pruned.items() if at_s >= pruned_before_s}
        learned = sorted((at_s, name) for name, (_, at_s) in self._means.items() if name != ALL_SIGNATURES)
        for _, name in learned[: max(0, len(learned) - means_max)]:
            del self._means[name]

    def forget_history(self, job_ids: Sequence[str] | None) -> None:
        """See ``Ledger``."""
        for job_id in tuple(self._histories) if job_ids is None else job_ids:
            self._histories.pop(job_id, None)

    def set_paused(self, paused: bool) -> None:
        """See ``Ledger``."""
        self._paused = paused

    def virtual_time(self) -> float:
        """See ``Ledger``."""
        return self._virtual_time

    def touch(self) -> None:
        """See ``Ledger``."""

    def set_virtual_time(self, value: float) -> None:
        """See ``Ledger``."""
        self._virtual_time = value
        self._finish_tags = {level: finish for level, finish in self._finish_tags.items() if finish > value}

    def finish_tags(self, principal: str) -> Mapping[int, float]:
        """See ``Ledger``."""
        return {priority: finish for (name, priority), finish in self._finish_tags.items() if name == principal}

    def largest_finish_tag(self) -> float | None:
        """See ``Ledger``."""
        return max(self._finish_tags.values(), default=None)

    def set_finish_tag(self, principal: str, priority: int, finish: float) -> None:
        """See ``Ledger``."""
        self._finish_tags[(principal, priority)] = finish

    def set_mean_run_s(self, means: Iterable[tuple[str, float]], at_s: float) -> None:
        """See ``Ledger``."""
        self._means.update((signature, (mean_s, at_s)) for signature, mean_s in means)

    def on_undo(self, take_back: Callable[[], object]) -> None:
        """See ``Ledger``. Nothing is ever taken back here: a verb raises before its first change."""

    def _at(self, key: _Key) -> Job:
        return self._jobs[self._ids[key[2] - 1]]

    def _claimable(self, job: Job) -> bool:
        due = job.not_before_s is None or job.not_before_s <= self._now_s
        return job.in_line and not job.held and due

    def _before(self, job_id: str) -> list[Job] | None:
        """The claimable jobs before a claimable job."""
        job = self._jobs.get(job_id)
        if job is None or not self._claimable(job):
            return None
        return [self._at(key) for key in self._line[: bisect_left(self._line, _key(job))]]

    def _working(self) -> list[Job]:
        return [job for job in self._unfinished.values() if job.status in _WORKING]

    def _ended_in(self, status: JobStatus) -> list[Job]:
        return sorted((job for job in self._jobs.values() if job.status is status and is_terminal(status)), key=_end)


def _end(job: Job) -> tuple[float, int]:
    assert job.finished_at_s is not None, "only ended jobs are asked"
    return (job.finished_at_s, job.seq)


def _key(job: Job) -> _Key:
    return sort_key(job.score, job.number, job.seq)
