"""How SQLite answers the statements that every claim, place and scrape asks: by the queue's own index, without a sort."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from expeditor.store.sqlite.statements import load_script, load_statements

PLACE = {"score": 0.0, "number": 0.0, "seq": 1}
ASKED_ALL_THE_TIME = [
    ("line", {"limit": 1}, "USING INDEX jobs_line"),
    ("waiting_before", PLACE, "USING COVERING INDEX jobs_line"),
    ("oldest_queued_at_s", {}, "USING COVERING INDEX jobs_line"),
    ("depth", {}, "USING COVERING INDEX jobs_unfinished"),
    ("any_unfinished", {}, "USING COVERING INDEX jobs_unfinished"),
    ("work_on_machine_s", {}, "USING INDEX jobs_by_status"),
    ("largest_finish_tag", {}, "USING COVERING INDEX finish_tags_by_finish"),
]


@pytest.mark.parametrize(("name", "values", "way"), ASKED_ALL_THE_TIME)
def test_the_statement_uses_its_index_and_sorts_nothing(name, values, way):
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(load_script("schema"))
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {load_statements()[name]}", values)]
    assert any(way in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan
