"""The reading verbs of the queue, once for every storage of ours, and the cursor of a page.

Owns what ``get``, ``page``, ``place`` and the others answer from a ledger. Changes nothing.
"""

from __future__ import annotations

import base64
import binascii

from ..jobs.errors import Fault, InputInvalid
from ..jobs.model import Job, Payload
from .base import PAGE_LIMIT_MAX, JobPage, JobQuery, Place, QueueSummary
from .ledger import ReadLedger
from .verbs import Done, estimate_s

_CURSOR_PREFIX = b"jobs:"
_SEQ_MAX = 2**63 - 1


class Reading:
    """The reading verbs on one ledger."""

    def __init__(self, ledger: ReadLedger) -> None:
        """Touch nothing yet."""
        self._ledger = ledger

    def get(self, job_id: str) -> Done[Job | None]:
        """See ``JobStore.get``."""
        return Done(self._ledger.job(job_id))

    def payload(self, job_id: str) -> Done[Payload | None]:
        """See ``JobStore.payload``."""
        return Done(self._ledger.payload(job_id))

    def page(self, query: JobQuery) -> Done[JobPage]:
        """See ``JobStore.page``. ``InputInvalid`` also for a limit out of range."""
        if not 1 <= query.limit <= PAGE_LIMIT_MAX:
            raise InputInvalid(f"limit is {query.limit}; it must be from 1 to {PAGE_LIMIT_MAX}.")
        before_seq = None if query.cursor is None else seq_of_cursor(query.cursor)
        statuses = tuple(dict.fromkeys(query.statuses))
        found = self._ledger.newest(statuses, query.principal, before_seq, query.limit + 1)
        jobs = tuple(found[: query.limit])
        return Done(JobPage(jobs, cursor_after(jobs[-1]) if len(found) > len(jobs) else None))

    def place(self, job_id: str) -> Done[Place | None]:
        """See ``JobStore.place``; a held job does not wait."""
        return Done(self._ledger.place(job_id))

    def summary(self) -> Done[QueueSummary]:
        """See ``JobStore.summary``."""
        return Done(QueueSummary(tuple(self._ledger.depth()), self._ledger.oldest_queued_at_s()))

    def estimate(self, signature: str) -> Done[float]:
        """See ``JobStore.estimate``."""
        return Done(estimate_s(self._ledger, signature))


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
