"""How SQLite answers the statements that every batch, poll and scrape asks: by the queue's own index, without a sort."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from expeditor.store.sqlite.statements import load_script, load_statements

ASKED_ALL_THE_TIME = [
    ("oldest_queued_at_s", {}, "USING COVERING INDEX jobs_line"),
    ("depth", {}, "USING COVERING INDEX jobs_unfinished"),
    ("known_ids", {"ids": '["a"]'}, "USING COVERING INDEX sqlite_autoindex_jobs_1 (id=?)"),
    ("attempts", {"seqs": "[1]"}, "USING PRIMARY KEY (job_seq=?)"),
]


@pytest.mark.parametrize(("name", "values", "way"), ASKED_ALL_THE_TIME)
def test_the_statement_uses_its_index_and_sorts_nothing(name, values, way):
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(load_script("schema"))
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {load_statements()[name]}", values)]
    assert any(way in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan
