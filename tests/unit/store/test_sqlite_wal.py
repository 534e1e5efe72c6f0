"""The write-ahead log stays small: beside readers that never rest, and after another program has held it up for long."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest

from expeditor.jobs.model import Payload
from expeditor.store.records import JobQuery
from tests.conformance.harness import SqliteStorage, done, new_job

pytestmark = pytest.mark.long

MIB = 1 << 20
PADDING = "x" * 100_000


def _write(store, count: int, first: int = 0) -> None:
    """So many jobs of a tenth of a megabyte, a few at a time, so that the writer never rests."""
    asked = []
    for number in range(first, first + count):
        asked.append(store.enqueue(new_job(f"j{number}", payload=Payload(PADDING, "{}", "[]"))))
        if len(asked) >= 8:
            done(asked.pop(0))
    for one in asked:
        done(one)


def test_the_log_stays_small_while_the_store_is_read_and_written_without_rest(tmp_path):
    storage = SqliteStorage(tmp_path)
    store = storage.start()
    log = storage.path.with_name(storage.path.name + "-wal")
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            done(store.page(JobQuery(limit=50)))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        # Some 80 MiB: a reader that is held up for a moment, as on a busy machine, keeps the log from being used anew for as long.
        _write(store, 800)
        assert storage.path.stat().st_size > 40 * MIB
        assert log.stat().st_size < 24 * MIB
    finally:
        over.set()
        for reader in readers:
            reader.join()
        storage.stop()


def test_a_program_that_reads_for_long_lets_the_log_grow_only_while_it_reads(tmp_path):
    storage = SqliteStorage(tmp_path)
    store = storage.start()
    log = storage.path.with_name(storage.path.name + "-wal")
    with closing(sqlite3.connect(storage.path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT COUNT(*) FROM jobs").fetchone()
        _write(store, 150)
        grown = log.stat().st_size
        assert grown > 12 * MIB, "nothing that the other program sees may be overwritten"
    _write(store, 150, first=150)
    assert log.stat().st_size <= grown + MIB
    assert storage.path.stat().st_size > 20 * MIB
    storage.stop()
