"""The bound on learned run times, on the ledgers themselves: through the verbs it would take ten thousand runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from expeditor.store.held import HeldLedger
from expeditor.store.ledger import ALL_SIGNATURES, KnownRows, Ledger
from expeditor.store.memory import MemoryLedger
from expeditor.store.sqlite.changes import ChangeWriter, take_rows
from expeditor.store.sqlite.finding import SqliteRows
from expeditor.store.sqlite.migrations import migrate
from expeditor.store.sqlite.statements import load_script, load_statements


class MemoryTable:
    def __init__(self) -> None:
        self.ledger: Ledger = MemoryLedger()

    def stored(self) -> KnownRows:
        return self.ledger


class SqliteTable:
    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        migrate(connection, 0)
        connection.executescript(load_script("changes"))
        self._rows = SqliteRows(connection, load_statements())
        self._writer = ChangeWriter(connection, load_statements())
        self.ledger = HeldLedger(self._rows, 0.0)

    def stored(self) -> KnownRows:
        self._writer.write(take_rows(self.ledger.changes))
        return self._rows


@pytest.fixture(params=["memory", "sqlite"])
def table(request) -> Iterator[MemoryTable | SqliteTable]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield MemoryTable() if request.param == "memory" else SqliteTable(connection)


def test_the_longest_unlearned_are_forgotten_and_never_that_of_all_runs(table):
    for at_s, name in enumerate([ALL_SIGNATURES, "s0", "s1", "s2", "s3"]):
        table.ledger.set_mean_run_s([(name, 10.0 + at_s)], float(at_s))
    table.ledger.set_mean_run_s([("s0", 99.0)], 9.0)
    table.stored()
    table.ledger.forget(0.0, 0.0, 2)
    stored = table.stored()
    for rows in (stored, table.ledger):
        known = {name: rows.mean_run_s(name) for name in (ALL_SIGNATURES, "s0", "s1", "s2", "s3")}
        assert known == {ALL_SIGNATURES: 10.0, "s0": 99.0, "s1": None, "s2": None, "s3": 14.0}
