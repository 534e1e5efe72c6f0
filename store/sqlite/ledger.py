"""The ledger in SQLite: every finding and changing of rows is one named statement.

Owns which statement answers which question. Opens no transaction (``transactions`` does) and decides nothing.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ...jobs.model import Job, JobStatus, Payload
from ..base import DepthRow
from .rows import attempt_values, depth_row_of, job_of, job_values, payload_values

_BEFORE_ALL = 2**63 - 1


class SqliteLedger:
    """``Ledger`` on one connection, used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, statements: Mapping[str, str]) -> None:
        """``connection`` has the row factory ``sqlite3.Row``; ``statements`` are those of ``queries.sql``."""
        self._connection = connection
        self._statements = statements

    def job(self, job_id: str) -> Job | None:
        """See ``ReadLedger``."""
        return next(iter(self._jobs("job", id=job_id)), None)

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
            return self._jobs("newest", **bounds)
        name, statuses = "newest_of_status", statuses or tuple(JobStatus)
        if principal is not None:
            name, bounds = "newest_of_principal_and_status", {**bounds, "principal": principal}
        found = [self._rows(name, **bounds, status=status.value) for status in statuses]
        merged = heapq.merge(*found, key=lambda row: -row["seq"])
        return [self._with_attempts(row) for _, row in zip(range(limit), merged, strict=False)]

    def depth(self) -> list[DepthRow]:
        """See ``ReadLedger``."""
        return [depth_row_of(row) for row in self._rows("depth")]

    def oldest_queued_at_s(self) -> float | None:
        """See ``ReadLedger``."""
        return self._value("oldest_queued_at_s")

    def waiting_before(self, job: Job) -> tuple[int, float]:
        """See ``ReadLedger``."""
        row = self._one("waiting_before", score=job.score, number=job.number, seq=job.seq)
        return (0, 0.0) if row is None else (row[0], row[1])

    def work_on_machine_s(self) -> float:
        """See ``ReadLedger``."""
        return self._value("work_on_machine_s")

    def mean_run_s(self, signature: str) -> float | None:
        """See ``ReadLedger``."""
        return self._value("mean_run_s", signature=signature)

    def add(self, job: Job, payload: Payload) -> Job:
        """See ``Ledger``."""
        seq = self._execute("add_job", job_values(job)).lastrowid
        assert seq is not None, "an insert into a table with an integer key gives one"
        self._execute("add_payload", payload_values(seq, payload))
        return replace(job, seq=seq)

    def save(self, job: Job) -> None:
        """See ``Ledger``."""
        self._execute("save_job", job_values(job))
        if job.attempts:
            self._execute("save_attempt", attempt_values(job.seq, job.attempts[-1]))

    def head(self) -> Job | None:
        """See ``Ledger``."""
        return next(iter(self._jobs("line", limit=1)), None)

    def head_score(self, but: str) -> float | None:
        """See ``Ledger``."""
        return next((row["score"] for row in self._rows("line", limit=2) if row["id"] != but), None)

    def queued(self) -> list[Job]:
        """See ``Ledger``."""
        return self._jobs("queued")

    def on_machine(self) -> list[Job]:
        """See ``Ledger``."""
        return self._jobs("on_machine")

    def idle(self) -> bool:
        """See ``Ledger``."""
        return self._one("any_unfinished") is None

    def virtual_time(self) -> float:
        """See ``Ledger``."""
        return self._value("ordering")

    def set_virtual_time(self, value: float) -> None:
        """See ``Ledger``."""
        self._execute("set_virtual_time", {"virtual_time": value})
        self._execute("forget_finish_tags", {"virtual_time": value})

    def finish_tags(self, principal: str) -> dict[int, float]:
        """See ``Ledger``."""
        return {row["priority"]: row["finish"] for row in self._rows("finish_tags", principal=principal)}

    def largest_finish_tag(self) -> float | None:
        """See ``Ledger``."""
        return self._value("largest_finish_tag")

    def set_finish_tag(self, principal: str, priority: int, finish: float) -> None:
        """See ``Ledger``."""
        self._execute("set_finish_tag", {"principal": principal, "priority": priority, "finish": finish})

    def set_mean_run_s(self, means: Iterable[tuple[str, float]]) -> None:
        """See ``Ledger``."""
        for signature, mean_s in means:
            self._execute("set_mean_run_s", {"signature": signature, "mean_s": mean_s})

    def policy(self) -> str:
        """The signature of the policy that the stored scores were computed by; empty in a new database."""
        row = self._one("ordering")
        return "" if row is None else row["policy"]

    def set_policy(self, signature: str) -> None:
        """Keep that signature."""
        self._execute("set_policy", {"policy": signature})

    def _execute(self, name: str, values: Mapping[str, Any]) -> sqlite3.Cursor:
        return self._connection.execute(self._statements[name], values)

    def _rows(self, name: str, **values: Any) -> list[sqlite3.Row]:
        return self._execute(name, values).fetchall()

    def _one(self, name: str, **values: Any) -> sqlite3.Row | None:
        return self._execute(name, values).fetchone()

    def _value(self, name: str, **values: Any) -> Any:
        row = self._one(name, **values)
        return None if row is None else row[0]

    def _jobs(self, name: str, **values: Any) -> list[Job]:
        return [self._with_attempts(row) for row in self._rows(name, **values)]

    def _with_attempts(self, row: sqlite3.Row) -> Job:
        return job_of(row, self._rows("attempts", job_seq=row["seq"]))
