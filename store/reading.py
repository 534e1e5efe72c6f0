"""The reading verbs of the queue, once for every storage of ours, and the cursor of a page.

Owns what ``get``, ``page``, ``place`` and the others answer from a ledger. Changes nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from ..jobs.asset_ids import output_asset_id
from ..jobs.errors import Fault, InputInvalid
from ..jobs.leftovers import FileName
from ..jobs.log import LOG_LIMIT_MAX, LogPage, LogQuery
from ..jobs.model import Job, JobStatus, Payload
from ..jobs.transitions import is_terminal
from .base import KEY_LIFE_S, NAMING_STEP, Clock, Finished, KeptFor, KeyedJob, Naming
from .batches import Batch, NewBatch
from .done import Done
from .ledger import ReadLedger, basis, estimate_s
from .moving import Carried
from .records import PAGE_LIMIT_MAX, Ahead, EstimateBasis, JobPage, JobQuery, Place, QueueSummary

_CURSOR_PREFIX = b"jobs:"
_SEQ_MAX = 2**63 - 1


class Reading:
    """The reading verbs on one ledger."""

    def __init__(self, ledger: ReadLedger, clock: Clock) -> None:
        """Touch nothing yet."""
        self._ledger = ledger
        self._clock = clock

    def get(self, job_id: str) -> Done[Job | None]:
        """See ``JobStore.get``."""
        return Done(self._ledger.job(job_id))

    def maker(self, asset_id: str) -> Done[Job | None]:
        """See ``JobStore.maker``. A job that was put back since has that output no more."""
        job = self._ledger.maker(asset_id)
        has = job is not None and any(output_asset_id(job.id, output) == asset_id for output in job.outputs)
        return Done(job if has else None)

    def payload(self, job_id: str) -> Done[Payload | None]:
        """See ``JobStore.payload``."""
        return Done(self._ledger.payload(job_id))

    def page(self, query: JobQuery) -> Done[JobPage]:
        """See ``JobStore.page``. ``InputInvalid`` also for a limit out of range."""
        if not 1 <= query.limit <= PAGE_LIMIT_MAX:
            raise InputInvalid(f"limit is {query.limit}; it must be from 1 to {PAGE_LIMIT_MAX}.")
        before_seq = None if query.cursor is None else seq_of_cursor(query.cursor)
        found = self._ledger.newest(query, before_seq, query.limit + 1)
        jobs = tuple(found[: query.limit])
        return Done(JobPage(jobs, cursor_after(jobs[-1]) if len(found) > len(jobs) else None))

    def carried(self, job_ids: Sequence[str]) -> Done[tuple[Carried, ...]]:
        """See ``MovingStore.carried``."""
        found = (self._ledger.job(job_id) for job_id in dict.fromkeys(job_ids))
        waiting = sorted((job for job in found if job and job.status is JobStatus.QUEUED), key=lambda job: job.seq)
        keys = {key.job_id: key for key in self._ledger.request_keys_of({job.id for job in waiting})}
        batch_ids = {job.slot.batch_id for job in waiting if job.slot is not None}
        stored = [batch for batch_id in batch_ids if (batch := self._ledger.batch(batch_id)) is not None]
        batches = {one.id: NewBatch(one.id, one.principal, one.created_at_s, one.count, one.about) for one in stored}
        return Done(
            tuple(
                Carried(job, payload, keys.get(job.id), None if job.slot is None else batches.get(job.slot.batch_id))
                for job in waiting
                if (payload := self._ledger.payload(job.id)) is not None
            )
        )

    def batch(self, batch_id: str) -> Done[Batch | None]:
        """See ``BatchStore.batch``."""
        return Done(self._ledger.batch(batch_id))

    def place(self, job_id: str) -> Done[Place | None]:
        """See ``JobStore.place``."""
        return Done(self._ledger.places((job_id,)).get(job_id))

    def places(self, job_ids: Sequence[str]) -> Done[Mapping[str, Place]]:
        """See ``JobStore.places``."""
        return Done(self._ledger.places(job_ids))

    def ahead(self, job_id: str) -> Done[Ahead | None]:
        """See ``JobStore.ahead``."""
        return Done(self._ledger.ahead(job_id))

    def keyed(self, principal: str, key: str) -> Done[KeyedJob | None]:
        """See ``JobStore.keyed``."""
        stored = self._ledger.keyed(principal, key)
        if stored is None or self._clock() - stored.created_at_s > KEY_LIFE_S:
            return Done(None)
        return Done(KeyedJob(stored.job_id, stored.fingerprint))

    def was_pruned(self, job_id: str) -> Done[bool]:
        """See ``JobStore.was_pruned``."""
        return Done(self._ledger.was_pruned(job_id))

    def prunable(
        self, kept: Mapping[JobStatus, KeptFor], limit: int, spared: AbstractSet[str] = frozenset()
    ) -> Done[tuple[Job, ...]]:
        """See ``JobStore.prunable``."""
        ledger, now_s = self._ledger, self._clock()
        found: dict[str, Job] = {}
        for status, bound in kept.items():
            if bound.age_s is not None:
                found |= {job.id: job for job in ledger.ended_before(status, now_s - bound.age_s, limit, spared)}
            if bound.count is not None:
                found |= {job.id: job for job in ledger.ended_beyond(status, bound.count, limit, spared)}
        oldest = sorted(found.values(), key=lambda job: (job.finished_at_s or 0.0, job.seq))
        return Done(tuple(oldest[:limit]))

    def naming(
        self, outputs: AbstractSet[FileName], texts: AbstractSet[str], but: AbstractSet[str], after_seq: int
    ) -> Done[Naming]:
        """See ``JobStore.naming``."""
        last_seq = self._ledger.last_seq()
        up_to_seq = min(after_seq + NAMING_STEP, last_seq)
        found_outputs, found_texts = self._ledger.named(outputs, texts, but, after_seq, up_to_seq)
        return Done(Naming(found_outputs, found_texts, up_to_seq if up_to_seq < last_seq else None))

    def finished(self, limit: int, home: str | None = None) -> Done[tuple[Finished, ...]]:
        """See ``JobStore.finished``."""
        return Done(tuple(self._ledger.finished(limit, home)))

    def history(self, job_id: str) -> Done[Finished | None]:
        """See ``JobStore.history``."""
        job, payload, kept = self._ledger.job(job_id), self._ledger.payload(job_id), self._ledger.history(job_id)
        if job is None or payload is None or kept is None or not is_terminal(job.status):
            return Done(None)
        return Done(Finished(job, payload, kept))

    def events(self, query: LogQuery) -> Done[LogPage]:
        """See ``EventLog.events``."""
        if not 1 <= query.limit <= LOG_LIMIT_MAX:
            raise InputInvalid(f"limit is {query.limit}; it must be from 1 to {LOG_LIMIT_MAX}.")
        found = self._ledger.events(query, query.limit + 1)
        events, more = tuple(found[: query.limit]), len(found) > query.limit
        end = events[-1].position if more else max(query.after, self._ledger.last_position())
        return Done(LogPage(events, end, more, self._ledger.forgotten_position()))

    def last_position(self) -> Done[int]:
        """See ``EventLog.last_position``."""
        return Done(self._ledger.last_position())

    def summary(self) -> Done[QueueSummary]:
        """See ``JobStore.summary``."""
        ledger, aside = self._ledger, self._ledger.aside()
        rows, oldest_s = tuple(ledger.depth()), ledger.oldest_queued_at_s()
        return Done(QueueSummary(rows, oldest_s, ledger.paused(), aside.held, aside.delayed))

    def estimate(self, signature: str) -> Done[float]:
        """See ``JobStore.estimate``."""
        return Done(estimate_s(self._ledger, signature))

    def basis(self, signature: str) -> Done[EstimateBasis]:
        """See ``JobStore.basis``."""
        return Done(basis(self._ledger, signature))


def cursor_after(job: Job) -> str:
    """The cursor of the page that follows ``job``."""
    return base64.urlsafe_b64encode(_CURSOR_PREFIX + str(job.seq).encode("ascii")).decode("ascii")


def seq_of_cursor(cursor: str) -> int:
    """The ``seq`` that a cursor stands for; ``InputInvalid`` when it is not one that we gave."""
    try:
        text = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        digits = text.removeprefix(_CURSOR_PREFIX)
        if digits == text or not digits.isdigit() or len(digits) > 19:
            raise ValueError(cursor)
        seq = int(digits)
    except (ValueError, binascii.Error) as fault:
        raise _foreign_cursor() from fault
    if seq > _SEQ_MAX:
        raise _foreign_cursor()
    return seq


def _foreign_cursor() -> InputInvalid:
    text = "The cursor is not one that this server gave."
    hint = "Take next_cursor of the page before, or leave it out to begin with the newest."
    return InputInvalid(text, faults=(Fault("/cursor", InputInvalid.code, text, hint=hint, input_name="cursor"),))
