"""The writer's ledger: what is unfinished stands in memory, so that a verb needs no statement, and goes to the file at once.

Owns what the writer holds in memory of the file, which is its alone (``lockfile``): the line, virtual time, finish tags,
the next ``seq``, learned means; and how to take changes back. Payloads and ended jobs stay in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from ...jobs.model import Job, Payload
from ..line import Line
from .changes import Changes
from .finding import SqliteRows
from .rows import Values

MEANS_MAX = 4096
"""The most learned means held in memory."""


class SqliteLedger:
    """``Ledger`` on the writing connection, used by one thread; ``line`` may be asked for places from any."""

    def __init__(self, rows: SqliteRows) -> None:
        """Read all that is held from the file."""
        self.line = Line()
        self._rows = rows
        self._changes = Changes()
        self._undo: list[Callable[[], object]] = []
        self._absent: set[str] = set()
        self._means: dict[str, float | None] = {}
        self._seq = rows.last_seq()
        self._virtual_time = rows.virtual_time()
        self._tags = rows.finish_tags()
        for job in rows.unfinished():
            self.line.put(job)

    def expect(self, job_ids: Iterable[str]) -> None:
        """Look up with one statement which of the jobs that verbs are about to ask for do not exist."""
        asked = {job_id for job_id in job_ids if self.line.get(job_id) is None}
        self._absent = asked - self._rows.known_ids(asked) if asked else asked

    def take(self) -> list[Values]:
        """What is changed and not written, as rows of ``changes``; the caller writes it."""
        return self._changes.take()

    def mark(self) -> int:
        """Stands for now; see ``roll_back``. All before must have been taken."""
        return len(self._undo)

    def roll_back(self, mark: int = 0) -> None:
        """Take back all changes since ``mark``, in memory; the caller does the same in the file."""
        self._changes.clear()
        self._absent.clear()
        while len(self._undo) > mark:
            self._undo.pop()()

    def commit(self) -> None:
        """What was taken is in the file for good."""
        self._undo.clear()

    def job(self, job_id: str) -> Job | None:
        """See ``KnownRows``."""
        job = self.line.get(job_id) or self._changes.jobs.get(job_id)
        if job is not None or job_id in self._absent:
            return job
        return self._rows.job(job_id)

    def payload(self, job_id: str) -> Payload | None:
        """See ``KnownRows``."""
        return self._changes.payloads.get(job_id) or self._rows.payload(job_id)

    def mean_run_s(self, signature: str) -> float | None:
        """See ``KnownRows``."""
        if signature not in self._means:
            if len(self._means) >= MEANS_MAX:
                self._means.clear()
                self._means.update(self._changes.means)
            self._means[signature] = self._rows.mean_run_s(signature)
        return self._means[signature]

    def next_seq(self) -> int:
        """See ``Ledger``."""
        return self._seq + 1

    def add(self, job: Job, payload: Payload) -> None:
        """See ``Ledger``."""
        self._undo.append(partial(setattr, self, "_seq", self._seq))
        self._seq = job.seq
        self._changes.payloads[job.id] = payload
        self.save(job)

    def save(self, job: Job) -> None:
        """See ``Ledger``."""
        before = self.line.get(job.id)
        undo = partial(self.line.remove, job.id) if before is None else partial(self.line.put, before)
        self._undo.append(undo)
        self.line.put(job)
        self._changes.jobs[job.id] = job
        if job.attempts:
            self._changes.attempts[(job.seq, job.attempts[-1].number)] = job.attempts[-1]

    def head(self) -> Job | None:
        """See ``Ledger``."""
        return self.line.head()

    def head_score(self, but: str) -> float | None:
        """See ``Ledger``."""
        return self.line.head_score(but)

    def queued(self) -> list[Job]:
        """See ``Ledger``."""
        return self.line.queued()

    def on_machine(self) -> list[Job]:
        """See ``Ledger``."""
        return self.line.on_machine()

    def idle(self) -> bool:
        """See ``Ledger``."""
        return self.line.empty()

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

    def finish_tags(self, principal: str) -> dict[int, float]:
        """See ``Ledger``."""
        return dict(self._tags.get(principal, {}))

    def largest_finish_tag(self) -> float | None:
        """See ``Ledger``."""
        return max((finish for tags in self._tags.values() for finish in tags.values()), default=None)

    def set_finish_tag(self, principal: str, priority: int, finish: float) -> None:
        """See ``Ledger``."""
        before = self._tags.get(principal, {})
        self._undo.append(partial(self._tags.__setitem__, principal, before))
        self._tags[principal] = {**before, priority: finish}
        self._changes.tags[(principal, priority)] = finish

    def set_mean_run_s(self, means: Iterable[tuple[str, float]]) -> None:
        """See ``Ledger``."""
        for signature, mean_s in means:
            self._undo.append(partial(self._means.pop, signature, None))
            self._means[signature] = self._changes.means[signature] = mean_s

    def _set_ordering(self, virtual_time: float, tags: dict[str, dict[int, float]]) -> None:
        self._virtual_time = virtual_time
        self._tags = tags
