"""How SQLite answers the statements that every batch, poll, scrape and clean-up asks: by an index, without a sort."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from expeditor.store.sqlite.migrations import migrate
from expeditor.store.sqlite.statements import load_statements

PAGE = {"before_seq": 9, "limit": 5, "held": None, "principal": None, "status": "failed", "cause": "POISON"}
ENDED = {"status": "failed", "limit": 5, "before_s": 1.0, "count": 100, "finished_at_s": 1.0, "seq": 1}
ENDED |= {"spared": '["gpu1"]', "home": None}
SOME = PAGE | {
    "batch_id": "b",
    "key": "k",
    "value": "v",
    "labels": '[["a", "b"]]',
    "statuses": '["failed"]',
    "causes": None,
}
LOG = {"after": 7, "limit": 5, "job_id": "a", "principal": "ada", "batch_id": "b", "seq": 1}
ASKED_ALL_THE_TIME = [
    ("unfinished", {}, "USING INDEX jobs_unfinished"),
    ("known_ids", {"ids": '["a"]', "marks": "[1]"}, "USING COVERING INDEX sqlite_autoindex_jobs_1 (id=?)"),
    ("known_ids", {"ids": '["a"]', "marks": "[1]"}, "SEARCH pruned USING INTEGER PRIMARY KEY (rowid=?)"),
    ("request_keys", {"asked": '[["a", "b"]]'}, "SEARCH found USING PRIMARY KEY (principal=? AND key=?)"),
    ("attempts", {"seqs": "[1]"}, "USING PRIMARY KEY (job_seq=?)"),
    ("newest", PAGE, "SEARCH jobs USING INTEGER PRIMARY KEY (rowid<?)"),
    ("newest_of_status", PAGE, "USING INDEX jobs_by_status (status=? AND seq<?)"),
    ("newest_of_principal_and_status", PAGE, "USING INDEX jobs_by_principal (principal=? AND status=? AND seq<?)"),
    ("newest_of_cause_and_status", PAGE, "USING INDEX jobs_by_cause (cause=? AND status=? AND seq<?)"),
    ("newest_held", PAGE, "USING INDEX jobs_held (seq<?)"),
    ("newest_of_batch", SOME, "USING INDEX jobs_by_batch (batch_id=? AND seq<?)"),
    ("newest_of_batch", SOME, "SEARCH labels USING PRIMARY KEY (key=? AND value=? AND job_seq=?)"),
    ("newest_of_label", SOME, "SEARCH first USING PRIMARY KEY (key=? AND value=? AND job_seq<?)"),
    ("newest_of_label", SOME, "SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)"),
    ("newest_of_label", SOME, "SEARCH labels USING PRIMARY KEY (key=? AND value=? AND job_seq=?)"),
    ("batch", {"id": "b"}, "SEARCH batches USING PRIMARY KEY (id=?)"),
    ("batch_statuses", {"id": "b"}, "USING COVERING INDEX jobs_by_batch (batch_id=?)"),
    ("ended_before", ENDED, "USING INDEX jobs_by_end (status=? AND finished_at_s>? AND finished_at_s<?)"),
    ("newest_beyond", ENDED, "USING COVERING INDEX jobs_by_end (status=? AND finished_at_s>?)"),
    ("ended_up_to", ENDED, "USING INDEX jobs_by_end (status=? AND finished_at_s>? AND finished_at_s<?)"),
    ("ended_last", ENDED, "USING INDEX jobs_by_end (status=? AND finished_at_s>?)"),
    ("ended_last", ENDED, "SEARCH histories USING INTEGER PRIMARY KEY (rowid=?)"),
    ("ended", {"ids": '["a"]'}, "USING INDEX sqlite_autoindex_jobs_1 (id=?)"),
    ("events", LOG, "SEARCH events USING INTEGER PRIMARY KEY (rowid>?)"),
    ("events", LOG, "SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)"),
    ("events_of_job", LOG, "SEARCH events USING INDEX events_by_job (job_seq=? AND rowid>?)"),
    ("events_of_principal", LOG, "SEARCH events USING INDEX events_by_principal (principal=? AND rowid>?)"),
    ("events_of_batch", LOG, "SEARCH events USING INDEX events_by_batch (batch_id=? AND rowid>?)"),
    ("last_position", LOG, "SEARCH events"),
    ("last_number", LOG, "SEARCH events USING INDEX events_by_job (job_seq=?)"),
    ("last_numbers", LOG, "SCAN jobs USING INDEX jobs_unfinished"),
    ("last_numbers", LOG, "SEARCH events USING COVERING INDEX events_by_job (job_seq=?)"),
    ("finished", {"seqs": "[1]"}, "SEARCH payloads USING INTEGER PRIMARY KEY (rowid=?)"),
]


@pytest.mark.parametrize(("name", "values", "way"), ASKED_ALL_THE_TIME)
def test_the_statement_uses_its_index_and_sorts_nothing(name, values, way):
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, 0)
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {load_statements()[name]}", values)]
    assert any(way in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan
