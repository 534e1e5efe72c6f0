"""The rows of the file: every finding is one named statement.

Owns which statement answers which question. Opens no transaction (``transactions`` does) and decides nothing.
"""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from ...jobs.model import Job, JobStatus, Payload
from ..base import DepthRow, Place
from ..line import Line
from .rows import depth_row_of, job_of

_BEFORE_ALL = 2**63 - 1


class SqliteRows:
    """Finding on one connection, used by one thread at a time. All of ``ReadLedger`` but ``place``."""

    def __init__(self, connection: sqlite3.Connection, statements: Mapping[str, str]) -> None:
        """``connection`` has the row factory ``sqlite3.Row``; ``statements`` are those of ``queries.sql``."""
        self._connection = connection
        self._statements = statements

    def job(self, job_id: str) -> Job | None:
        """See ``KnownRows``."""
        return next(iter(self._jobs(self._rows("job", id=job_id))), None)

    def payload(self, job_id: str) -> Payload | None:
        """See ``ReadLedger``."""
        row = self._one("payload", id=job_id)
        return None if row is None else Payload(**dict(row))

    def newest(
        self, statuses: tuple[JobStatus, ...], principal: str | None, before_seq: int | None, limit: int
    ) -> list[Job]:
        """See ``ReadLedger``. Several statuses are as many index walks, merged: never a walk over other jobs."""
        bounds: dict[str, Any] = {"before_seq": _BEFORE_ALL if before_seq is None else before_seq, "limit": limit}
        if principal is None and not statuses:
            return self._jobs(self._rows("newest", **bounds))
        name, statuses = "newest_of_status", statuses or tuple(JobStatus)
        if principal is not None:
            name, bounds = "newest_of_principal_and_status", {**bounds, "principal": principal}
        found = [self._rows(name, **bounds, status=status.value) for status in statuses]
        merged = heapq.merge(*found, key=lambda row: -row["seq"])
        return self._jobs(list(islice(merged, limit)))

    def depth(self) -> list[DepthRow]:
        """See ``ReadLedger``."""
        return [depth_row_of(row) for row in self._rows("depth")]

    def oldest_queued_at_s(self) -> float | None:
        """See ``ReadLedger``."""
        return self._value("oldest_queued_at_s")

    def mean_run_s(self, signature: str) -> float | None:
        """See ``ReadLedger``."""
        return self._value("mean_run_s", signature=signature)

    def known_ids(self, job_ids: Iterable[str]) -> set[str]:
        """Which of these ids a job has."""
        return {row[0] for row in self._rows("known_ids", ids=json.dumps(list(job_ids)))}

    def unfinished(self) -> list[Job]:
        """Every job that has not ended."""
        return self._jobs(self._rows("unfinished"))

    def last_seq(self) -> int:
        """The ``seq`` of the newest job; 0 before the first."""
        return self._value("last_seq") or 0

    def virtual_time(self) -> float:
        """The virtual time; 0 at first."""
        return self._value("ordering")

    def finish_tags(self) -> dict[str, dict[int, float]]:
        """Every principal's last finish tag per priority."""
        tags: defaultdict[str, dict[int, float]] = defaultdict(dict)
        for row in self._rows("finish_tags"):
            tags[row["principal"]][row["priority"]] = row["finish"]
        return dict(tags)

    def policy(self) -> str:
        """The signature of the policy that the stored scores were computed by; empty in a new database."""
        row = self._one("ordering")
        return "" if row is None else row["policy"]

    def _rows(self, name: str, **values: Any) -> list[sqlite3.Row]:
        return self._connection.execute(self._statements[name], values).fetchall()

    def _one(self, name: str, **values: Any) -> sqlite3.Row | None:
        return next(iter(self._rows(name, **values)), None)

    def _value(self, name: str, **values: Any) -> Any:
        row = self._one(name, **values)
        return None if row is None else row[0]

    def _jobs(self, rows: Sequence[sqlite3.Row]) -> list[Job]:
        """The jobs of rows of ``jobs``. Only those that have ever started have attempts to look for."""
        begun = [row["seq"] for row in rows if row["started_at_s"] is not None]
        attempts: defaultdict[int, list[sqlite3.Row]] = defaultdict(list)
        for attempt in self._rows("attempts", seqs=json.dumps(begun)) if begun else ():
            attempts[attempt["job_seq"]].append(attempt)
        return [job_of(row, attempts[row["seq"]]) for row in rows]


class ReaderRows(SqliteRows):
    """``ReadLedger``: rows from the reading connection, places from the writer's line."""

    def __init__(self, connection: sqlite3.Connection, statements: Mapping[str, str], line: Line) -> None:
        """See ``SqliteRows``."""
        super().__init__(connection, statements)
        self._line = line

    def place(self, job_id: str) -> Place | None:
        """See ``ReadLedger``."""
        return self._line.place(job_id)
