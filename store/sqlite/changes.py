"""How what the writer has changed in memory gets into the file: with one statement.

Owns the row format of the view ``changes`` (``changes.sql``). Decides nothing and opens no transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from ...jobs.events import JobEvent
from ...jobs.log import EVENTS_PER_JOB
from ...jobs.model import Attempt, Job
from ..batches import NewBatch
from ..changes import Changes, Pruned
from ..ledger import StoredKey
from .rows import Values, attempt_values, event_values, job_values, mark_of, payload_values, storable

ROWS_MAX = 64
"""The most rows of one statement, for SQLite's limit of bound values."""

# The groups of columns in a row, when it says nothing of them. Zeros: Python takes four times as long to bind a None.
_NO_JOB: Values = (None, *(0,) * 36)
_NO_PAYLOAD: Values = (None, 0, 0)
_NO_ATTEMPT: Values = (None, *(0,) * 9)
_TAKEN_AWAY: Values = (None,) * 8
_NO_TIME: Values = (None,)
_NO_TAG: Values = (None, 0, 0)
_NO_MEAN: Values = (None, 0, 0)
_NO_HISTORY: Values = (None, 0)
_NO_KEY: Values = (None, 0, 0)
_NO_PAUSE: Values = (None,)
_NO_BATCH: Values = (None, 0, 0, 0, 0)
_NO_PRUNED: Values = (None, 0, 0, 0)
_NO_FORGETTING: Values = (None, 0, 0)
_NOTHING_UNWANTED: Values = (None,)
_NO_EVENT: Values = (None, *(0,) * 8)

ALL = "*"
"""Stands for the histories of all jobs, in the place of a JSON list of ids."""


def take_rows(changes: Changes) -> list[Values]:
    """All changes as rows for ``write``; clears them.

    The virtual time comes first: it takes reached finish tags with it. What is pruned and forgotten comes last. A
    job's row carries its last attempt, its history, its first event, its request key and the finish tag of its level if
    these were changed too.
    """
    rows: list[Values] = []
    if changes.virtual_time is not None:
        rows.append(_row(time=(changes.virtual_time,)))
    if changes.paused is not None:
        rows.append(_row(pause=(changes.paused,)))
    keys = {key.job_id: key for key in changes.keys.values()}
    # Before the jobs' own rows: what is kept later in the batch stays.
    rows += [_row(unwanted=(ALL if ids is None else json.dumps(list(ids)),)) for ids in changes.unwanted]
    rows += [_job_row(changes, job, keys.get(job.id)) for job in changes.jobs.values()]
    rows += [_row(event=_event_values(event)) for told in changes.events.values() for event in told]
    rows += [_row(attempt=_attempt_row(*at, attempt)) for at, attempt in changes.attempts.items()]
    rows += [_row(tag=(*level, finish)) for level, finish in changes.tags.items()]
    rows += [_row(mean=(signature, *mean)) for signature, mean in changes.means.items()]
    rows += [_row(batch=_batch_values(batch)) for batch in changes.batches.values()]
    rows += [_row(pruned=_pruned_values(job_id, job)) for job_id, job in changes.pruned.items()]
    if changes.forgetting is not None:
        rows.append(_row(forgetting=changes.forgetting))
    changes.clear()
    return rows


def _job_row(changes: Changes, job: Job, key: StoredKey | None) -> Values:
    payload = changes.payloads.get(job.id)
    attempt = changes.attempts.pop((job.seq, job.attempt), None)
    level = (job.principal.name, job.priority)
    finish = changes.tags.pop(level, None)
    ended = job.seq in changes.histories
    told = changes.events.get(job.seq)
    return _row(
        job_values(job),
        _NO_PAYLOAD if payload is None else payload_values(payload),
        _NO_ATTEMPT if attempt is None else attempt_values(job.seq, attempt),
        tag=_NO_TAG if finish is None else (*level, finish),
        history=(job.seq, storable(changes.histories[job.seq])) if ended else _NO_HISTORY,
        key=_NO_KEY if key is None else (key.key, key.fingerprint, key.created_at_s),
        event=_event_values(told.pop(0)) if told else _NO_EVENT,
    )


class ChangeWriter:
    """Writes rows of ``changes`` on the connection that has the view."""

    def __init__(self, connection: sqlite3.Connection, statements: Mapping[str, str]) -> None:
        """Writes nothing yet."""
        self._connection = connection
        self._opening, row = statements["change"].split("VALUES")
        self._row = row.strip()

    def write(self, rows: Sequence[Values]) -> None:
        """Put the rows into their tables: one statement for up to ``ROWS_MAX``."""
        for start in range(0, len(rows), ROWS_MAX):
            part = rows[start : start + ROWS_MAX]
            statement = f"{self._opening}VALUES {', '.join([self._row] * len(part))}"
            self._connection.execute(statement, [value for row in part for value in row])


def _row(  # noqa: PLR0913, PLR0917 - a row has so many groups
    job: Values = _NO_JOB,
    payload: Values = _NO_PAYLOAD,
    attempt: Values = _NO_ATTEMPT,
    time: Values = _NO_TIME,
    tag: Values = _NO_TAG,
    mean: Values = _NO_MEAN,
    history: Values = _NO_HISTORY,
    key: Values = _NO_KEY,
    pause: Values = _NO_PAUSE,
    batch: Values = _NO_BATCH,
    pruned: Values = _NO_PRUNED,
    forgetting: Values = _NO_FORGETTING,
    unwanted: Values = _NOTHING_UNWANTED,
    event: Values = _NO_EVENT,
) -> Values:
    ended = batch + pruned + tuple(forgetting) + unwanted
    return job + payload + attempt + time + tag + mean + history + key + pause + ended + event


def _attempt_row(seq: int, number: int, attempt: Attempt | None) -> Values:
    return (seq, number, *_TAKEN_AWAY) if attempt is None else attempt_values(seq, attempt)


def _batch_values(batch: NewBatch) -> Values:
    return (batch.id, batch.principal, batch.created_at_s, batch.count, json.dumps(batch.about))


def _pruned_values(job_id: str, job: Pruned) -> Values:
    return (job.seq, mark_of(job_id), job.at_s, None if job.batch_id is None else mark_of(job.batch_id))


def _event_values(event: JobEvent) -> Values:
    return (*event_values(event), max(0, event.number - EVENTS_PER_JOB))
