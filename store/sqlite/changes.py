"""What the writer has changed in memory and not yet in the file, and how it gets there: with one statement.

Owns the row format of the view ``changes`` (``changes.sql``). Decides nothing and opens no transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...jobs.events import JobEvent
from ...jobs.log import EVENTS_PER_JOB
from ...jobs.model import Attempt, Job, Payload
from ..batches import NewBatch
from ..ledger import StoredKey
from .rows import Values, attempt_values, event_values, job_values, mark_of, payload_values, storable

ROWS_MAX = 64
"""The most rows of one statement, for SQLite's limit of bound values."""

# The groups of columns in a row, when it says nothing of them. Zeros: Python takes four times as long to bind a None.
_NO_JOB: Values = (None, *(0,) * 35)
_NO_PAYLOAD: Values = (None, 0, 0)
_NO_ATTEMPT: Values = (None, *(0,) * 8)
_TAKEN_AWAY: Values = (None,) * 7
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


class Forgetting(NamedTuple):
    """What ``Ledger.forget`` was asked."""

    keys_before_s: float
    pruned_before_s: float
    means_max: int


class Pruned(NamedTuple):
    """A job to prune, and the batch that it belongs to."""

    seq: int
    at_s: float
    batch_id: str | None = None


class Changes:
    """The latest of everything that was changed since the last ``clear``."""

    def __init__(self) -> None:
        """Nothing is changed."""
        self.jobs: dict[str, Job] = {}
        self.payloads: dict[str, Payload] = {}
        self.attempts: dict[tuple[int, int], Attempt | None] = {}  # by the job's seq and number; None: taken away
        self.virtual_time: float | None = None
        self.tags: dict[tuple[str, int], float] = {}
        self.means: dict[str, tuple[float, float]] = {}  # mean, learned at
        self.histories: dict[int, str | None] = {}
        self.keys: dict[tuple[str, str], StoredKey] = {}
        self.paused: bool | None = None
        self.batches: dict[str, NewBatch] = {}
        self.pruned: dict[str, Pruned] = {}
        self.forgetting: Forgetting | None = None
        self.unwanted: list[Sequence[str] | None] = []  # histories to forget, by job id; None: all
        self.events: defaultdict[int, list[JobEvent]] = defaultdict(list)  # by the job's seq, all of them

    def clear(self) -> None:
        """Forget all: it is written, or shall not be."""
        self.jobs.clear()
        self.payloads.clear()
        self.attempts.clear()
        self.tags.clear()
        self.means.clear()
        self.histories.clear()
        self.keys.clear()
        self.batches.clear()
        self.pruned.clear()
        self.unwanted.clear()
        self.events.clear()
        self.virtual_time = self.paused = self.forgetting = None

    def forget_history(self, job_ids: Sequence[str] | None) -> None:
        """Forget histories, written or about to be."""
        seqs = (
            None if job_ids is None else {job.seq for job_id in job_ids if (job := self.jobs.get(job_id)) is not None}
        )
        for seq in self.histories:
            if seqs is None or seq in seqs:
                self.histories[seq] = None
        self.unwanted.append(job_ids)

    def take(self) -> list[Values]:
        """All changes as rows for ``write``, and clear.

        The virtual time comes first: it takes reached finish tags with it. What is pruned and forgotten comes last. A
        job's row carries its last attempt, its history, its first event, its request key and the finish tag of its level if
        these were changed too.
        """
        rows: list[Values] = []
        if self.virtual_time is not None:
            rows.append(_row(time=(self.virtual_time,)))
        if self.paused is not None:
            rows.append(_row(pause=(self.paused,)))
        keys = {key.job_id: key for key in self.keys.values()}
        # Before the jobs' own rows: what is kept later in the batch stays.
        rows += [_row(unwanted=(ALL if ids is None else json.dumps(list(ids)),)) for ids in self.unwanted]
        rows += [self._job_row(job, keys.get(job.id)) for job in self.jobs.values()]
        rows += [_row(event=_event_values(event)) for told in self.events.values() for event in told]
        rows += [_row(attempt=_attempt_row(*at, attempt)) for at, attempt in self.attempts.items()]
        rows += [_row(tag=(*level, finish)) for level, finish in self.tags.items()]
        rows += [_row(mean=(signature, *mean)) for signature, mean in self.means.items()]
        rows += [_row(batch=_batch_values(batch)) for batch in self.batches.values()]
        rows += [_row(pruned=_pruned_values(job_id, job)) for job_id, job in self.pruned.items()]
        if self.forgetting is not None:
            rows.append(_row(forgetting=self.forgetting))
        self.clear()
        return rows

    def _job_row(self, job: Job, key: StoredKey | None) -> Values:
        payload = self.payloads.get(job.id)
        attempt = self.attempts.pop((job.seq, job.attempt), None)
        level = (job.principal.name, job.priority)
        finish = self.tags.pop(level, None)
        ended = job.seq in self.histories
        told = self.events.get(job.seq)
        return _row(
            job_values(job),
            _NO_PAYLOAD if payload is None else payload_values(payload),
            _NO_ATTEMPT if attempt is None else attempt_values(job.seq, attempt),
            tag=_NO_TAG if finish is None else (*level, finish),
            history=(job.seq, storable(self.histories[job.seq])) if ended else _NO_HISTORY,
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
