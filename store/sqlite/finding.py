"""The rows of the file: every finding is one named statement.

Owns which statement answers which question. Opens no transaction (``transactions`` does) and decides nothing.
"""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice, product
from typing import Any

from ...jobs.events import LoggedEvent
from ...jobs.leftovers import FileName
from ...jobs.log import LogQuery
from ...jobs.model import Job, JobStatus, Payload
from ...jobs.transitions import TERMINAL
from ..base import Finished
from ..batches import Batch
from ..ledger import StoredKey
from ..line import Line, OfLine
from ..records import JobQuery
from .rows import event_of, job_of, mark_of

_BEFORE_ALL = 2**63 - 1


class SqliteRows:
    """Finding on one connection, used by one thread at a time. All of ``ReadLedger`` but what ``Line`` knows."""

    def __init__(self, connection: sqlite3.Connection, statements: Mapping[str, str]) -> None:
        """``connection`` has the row factory ``sqlite3.Row``; ``statements`` are those of ``queries.sql``."""
        self._connection = connection
        self._statements = statements

    def job(self, job_id: str) -> Job | None:
        """See ``KnownRows``."""
        return next(iter(self._jobs(self._rows("job", id=job_id))), None)

    def maker(self, asset_id: str) -> Job | None:
        """See ``ReadLedger``."""
        return next(iter(self._jobs(self._rows("maker", asset_id=asset_id))), None)

    def payload(self, job_id: str) -> Payload | None:
        """See ``KnownRows``."""
        row = self._one("payload", id=job_id)
        return None if row is None else _payload_of(row)

    def keyed(self, principal: str, key: str) -> StoredKey | None:
        """See ``KnownRows``."""
        return self.request_keys([(principal, key)]).get((principal, key))

    def request_keys(self, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredKey]:
        """Those of these request keys that are kept."""
        rows = self._rows("request_keys", asked=json.dumps(asked))
        return {(row["principal"], row["key"]): StoredKey(**dict(row)) for row in rows}

    def was_pruned(self, job_id: str) -> bool:
        """See ``KnownRows``."""
        return self._one("pruned", mark=mark_of(job_id)) is not None

    def paused(self) -> bool:
        """See ``KnownRows``."""
        row = self._one("ordering")
        return row is not None and bool(row["paused"])

    def newest(self, query: JobQuery, before_seq: int | None, limit: int) -> list[Job]:
        """See ``ReadLedger``. Several walks over indexes, merged: never one over other jobs."""
        bounds = {"before_seq": _BEFORE_ALL if before_seq is None else before_seq, "limit": limit}
        found = [self._rows(name, **bounds, **values) for name, values in _walks(query)]
        merged = heapq.merge(*found, key=lambda row: -row["seq"])
        return self._jobs(list(islice(merged, limit)))

    def batch(self, batch_id: str) -> Batch | None:
        """See ``ReadLedger``."""
        row = self._one("batch", id=batch_id)
        if row is None:
            return None
        statuses = Counter(JobStatus(found["status"]) for found in self._rows("batch_statuses", id=batch_id))
        about = json.loads(row["about"])
        return Batch(row["id"], row["principal"], row["created_at_s"], row["counted"], about, dict(statuses))

    def has_batch(self, batch_id: str) -> bool:
        """Whether there is a batch of this id."""
        return self._one("batch", id=batch_id) is not None

    def ended_before(
        self, status: JobStatus, before_s: float, limit: int, spared: AbstractSet[str] = frozenset()
    ) -> list[Job]:
        """See ``ReadLedger``."""
        return self._jobs(
            self._rows("ended_before", status=status.value, before_s=before_s, limit=limit, **_but(spared))
        )

    def ended_beyond(
        self, status: JobStatus, count: int, limit: int, spared: AbstractSet[str] = frozenset()
    ) -> list[Job]:
        """See ``ReadLedger``."""
        newest = self._one("newest_beyond", status=status.value, count=count)
        if newest is None:
            return []
        return self._jobs(self._rows("ended_up_to", status=status.value, limit=limit, **newest, **_but(spared)))

    def named(
        self,
        outputs: AbstractSet[FileName],
        texts: AbstractSet[str],
        but: AbstractSet[str],
        after_seq: int,
        up_to_seq: int,
    ) -> tuple[frozenset[FileName], frozenset[str]]:
        """See ``ReadLedger``."""
        bounds = {"but": json.dumps(sorted(but)), "after_seq": after_seq, "up_to_seq": up_to_seq}
        names = json.dumps(sorted({file.name for file in outputs}))
        made = self._rows("made_files", names=names, **bounds) if outputs else ()
        held = self._rows("held_texts", texts=json.dumps(sorted(texts)), **bounds) if texts else ()
        return frozenset(FileName(*row) for row in made) & outputs, frozenset(str(row[0]) for row in held)

    def request_keys_of(self, job_ids: AbstractSet[str]) -> list[StoredKey]:
        """See ``ReadLedger``."""
        return [StoredKey(**dict(row)) for row in self._rows("request_keys_of", ids=json.dumps(sorted(job_ids)))]

    def ended(self, job_ids: Iterable[str]) -> list[Job]:
        """Those of these jobs that have ended."""
        return self._jobs(self._rows("ended", ids=json.dumps(list(job_ids))))

    def finished(self, limit: int, home: str | None = None) -> list[Finished]:
        """See ``ReadLedger``."""
        walks = [self._rows("ended_last", status=status.value, limit=limit, home=home) for status in TERMINAL]
        newest = heapq.merge(*walks, key=lambda row: (-row["finished_at_s"], -row["seq"]))
        jobs = self._jobs(list(islice(newest, limit)))[::-1]
        kept = {row["job_seq"]: row for row in self._rows("finished", seqs=json.dumps([job.seq for job in jobs]))}
        return [Finished(job, _payload_of(kept[job.seq]), kept[job.seq]["history_json"]) for job in jobs]

    def history(self, job_id: str) -> str | None:
        """See ``ReadLedger``."""
        return self._value("history", id=job_id)

    def mean_run_s(self, signature: str) -> float | None:
        """See ``ReadLedger``."""
        return self._value("mean_run_s", signature=signature)

    def known_ids(self, job_ids: Iterable[str]) -> set[str]:
        """Which of these ids a job has or had."""
        marks = {mark_of(job_id): job_id for job_id in job_ids}
        rows = self._rows("known_ids", ids=json.dumps(list(marks.values())), marks=json.dumps(list(marks)))
        return {row["id"] if row["mark"] is None else marks[row["mark"]] for row in rows}

    def unfinished(self) -> list[Job]:
        """Every job that has not ended."""
        return self._jobs(self._rows("unfinished"))

    def last_seq(self) -> int:
        """The ``seq`` of the newest job; 0 before the first."""
        return self._value("last_seq") or 0

    def events(self, query: LogQuery, limit: int) -> list[LoggedEvent]:
        """See ``ReadLedger``."""
        names = ("job_id", "batch_id", "principal")
        name = next((each for each in names if getattr(query, each) is not None), None)
        bounds = {"after": query.after, "limit": limit}
        if name is None:
            rows = self._rows("events", **bounds)
        else:
            rows = self._rows(f"events_of_{name.removesuffix('_id')}", **bounds, **{name: getattr(query, name)})
        return [event_of(row) for row in rows]

    def last_position(self) -> int:
        """See ``ReadLedger``."""
        return self._value("last_position")

    def forgotten_position(self) -> int:
        """See ``ReadLedger``."""
        row = self._one("last_position")
        return 0 if row is None else row["forgotten_position"]

    def last_number(self, job: Job) -> int:
        """The number of a job's newest event; 0 before its first."""
        return self._value("last_number", seq=job.seq) or 0

    def last_numbers(self) -> dict[int, int]:
        """The same of all unfinished jobs that have one, by ``seq``."""
        return {row["seq"]: row["number"] for row in self._rows("last_numbers")}

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


class ReaderRows(SqliteRows, OfLine):
    """``ReadLedger``: rows from the reading connection, places and counts of what waits from the writer's line."""

    def __init__(self, connection: sqlite3.Connection, statements: Mapping[str, str], line: Line) -> None:
        """See ``SqliteRows``."""
        super().__init__(connection, statements)
        self._line = line


def _walks(query: JobQuery) -> list[tuple[str, dict[str, Any]]]:
    """The statements that together give the jobs of a query, and their values."""
    name, held = query.principal, query.held
    wanted = {"held": held}
    statuses = [status.value for status in dict.fromkeys(query.statuses)]
    if query.batch_id is not None or query.labels:
        return [_walk_of_some(query)]
    if query.causes:
        causes = [cause.value for cause in dict.fromkeys(query.causes)]
        ended = [status.value for status in TERMINAL if not statuses or status.value in statuses]
        pairs = product(causes, ended)
        return [
            ("newest_of_cause_and_status", {**wanted, "principal": name, "cause": cause, "status": status})
            for cause, status in pairs
        ]
    if held:  # only queued jobs are
        return [("newest_held", {"principal": name})] if not statuses or JobStatus.QUEUED.value in statuses else []
    if name is not None:
        every = statuses or [status.value for status in JobStatus]
        return [("newest_of_principal_and_status", {**wanted, "principal": name, "status": status}) for status in every]
    if not statuses:
        return [("newest", wanted)]
    return [("newest_of_status", {**wanted, "status": status}) for status in statuses]


def _walk_of_some(query: JobQuery) -> tuple[str, dict[str, Any]]:
    """The walk over the jobs of a batch, or over those with the first label."""
    if query.batch_id is not None:
        return "newest_of_batch", {**_residue(query, query.labels), "batch_id": query.batch_id}
    (key, value), *others = query.labels
    return "newest_of_label", {**_residue(query, others), "key": key, "value": value}


def _residue(query: JobQuery, labels: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """What is asked of each job of a walk besides the index that is walked."""
    return {
        "held": query.held,
        "principal": query.principal,
        "statuses": json.dumps([status.value for status in query.statuses]) if query.statuses else None,
        "causes": json.dumps([cause.value for cause in query.causes]) if query.causes else None,
        "labels": json.dumps(labels),
    }


def _payload_of(row: sqlite3.Row) -> Payload:
    return Payload(row["prompt_json"], row["extra_json"], row["outputs_json"])


def _but(spared: AbstractSet[str]) -> dict[str, str]:
    return {"spared": json.dumps(sorted(spared))}
