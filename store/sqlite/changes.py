"""What the writer has changed in memory and not yet in the file, and how it gets there: with one statement.

Owns the row format of the view ``changes`` (``changes.sql``). Decides nothing and opens no transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from ...jobs.model import Attempt, Job, Payload
from .rows import Values, attempt_values, job_values, payload_values

ROWS_MAX = 64
"""The most rows of one statement, for SQLite's limit of bound values."""

# The groups of columns in a row, when it says nothing of them. Zeros: Python takes four times as long to bind a None.
_NO_JOB: Values = (None, *(0,) * 25)
_NO_PAYLOAD: Values = (None, 0, 0)
_NO_ATTEMPT: Values = (None, *(0,) * 7)
_NO_TIME: Values = (None,)
_NO_TAG: Values = (None, 0, 0)
_NO_MEAN: Values = (None, 0)


class Changes:
    """The latest of everything that was changed since the last ``clear``."""

    def __init__(self) -> None:
        """Nothing is changed."""
        self.jobs: dict[str, Job] = {}
        self.payloads: dict[str, Payload] = {}
        self.attempts: dict[tuple[int, int], Attempt] = {}
        self.virtual_time: float | None = None
        self.tags: dict[tuple[str, int], float] = {}
        self.means: dict[str, float] = {}

    def clear(self) -> None:
        """Forget all: it is written, or shall not be."""
        for kept in (self.jobs, self.payloads, self.attempts, self.tags, self.means):
            kept.clear()
        self.virtual_time = None

    def take(self) -> list[Values]:
        """All changes as rows for ``write``, and clear.

        The virtual time comes first: it takes reached finish tags with it. A job's row carries its last attempt and the
        finish tag of its level if these were changed too.
        """
        rows: list[Values] = []
        if self.virtual_time is not None:
            rows.append(_row(time=(self.virtual_time,)))
        rows += [self._job_row(job) for job in self.jobs.values()]
        rows += [_row(attempt=attempt_values(seq, attempt)) for (seq, _), attempt in self.attempts.items()]
        rows += [_row(tag=(*level, finish)) for level, finish in self.tags.items()]
        rows += [_row(mean=mean) for mean in self.means.items()]
        self.clear()
        return rows

    def _job_row(self, job: Job) -> Values:
        payload = self.payloads.get(job.id)
        attempt = self.attempts.pop((job.seq, job.attempt), None)
        level = (job.principal.name, job.priority)
        finish = self.tags.pop(level, None)
        return _row(
            job_values(job),
            _NO_PAYLOAD if payload is None else payload_values(payload),
            _NO_ATTEMPT if attempt is None else attempt_values(job.seq, attempt),
            tag=_NO_TAG if finish is None else (*level, finish),
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


def _row(
    job: Values = _NO_JOB,
    payload: Values = _NO_PAYLOAD,
    attempt: Values = _NO_ATTEMPT,
    time: Values = _NO_TIME,
    tag: Values = _NO_TAG,
    mean: Values = _NO_MEAN,
) -> Values:
    return job + payload + attempt + time + tag + mean
