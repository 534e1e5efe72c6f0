"""The file of the asset records: what is refused, what is set aside, and that nothing is lost when it cannot be written."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from expeditor.jobs.errors import StoreUnavailable
from expeditor.store.sqlite.assets import SCHEMA_VERSION, SqliteAssets
from tests.conformance.harness import HandClock, done
from tests.conformance.test_assets import asset


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "assets.sqlite3"


def opened(path: Path) -> SqliteAssets:
    store = SqliteAssets(path=path, clock=HandClock(), busy_timeout_s=0.2)
    store.open()
    return store


def filled(path: Path) -> None:
    store = opened(path)
    done(store.mint(asset("a1")))
    store.close()


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def test_a_damaged_file_is_set_aside_and_the_records_begin_anew(path):
    filled(path)
    whole = path.read_bytes()
    path.write_bytes(b"garbage" * 1000)
    store = opened(path)
    assert not done(store.found(["a1"]))
    notice = store.state().notice or ""
    (aside,) = path.parent.glob("assets.sqlite3.corrupt-*")
    assert str(aside) in notice
    done(store.mint(asset("a2")))
    store.close()
    assert whole != aside.read_bytes() == b"garbage" * 1000


def test_a_second_process_on_the_file_hears_who_has_it(path):
    store = opened(path)
    with pytest.raises(StoreUnavailable, match=f"process {os.getpid()}"):
        opened(path)
    store.close()
    opened(path).close()


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (f"PRAGMA user_version = {SCHEMA_VERSION + 1}", "newer version"),
        ("PRAGMA application_id = 7", "another program"),
    ],
)
def test_a_strange_file_is_left_alone(path, statement, why):
    filled(path)
    execute(path, statement)
    store = SqliteAssets(path=path, clock=HandClock())
    with pytest.raises(StoreUnavailable, match=why) as refused:
        store.open()
    assert (store.state().open, store.state().error) == (False, refused.value.message)


def test_verbs_of_a_closed_store_are_refused(path):
    store = SqliteAssets(path=path, clock=HandClock())
    with pytest.raises(StoreUnavailable):
        done(store.found(["a1"]))


def test_what_cannot_be_written_is_told_and_the_next_verb_tries_again(path):
    store = opened(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="nothing was stored"):
        done(store.mint(asset("a1")))
    assert store.state().error
    other.execute("ROLLBACK")
    other.close()
    assert not done(store.found(["a1"]))
    done(store.mint(asset("a1")))
    assert store.state().error is None
    store.close()


def test_a_file_that_is_taken_away_while_it_is_open_takes_nothing(path):
    store = opened(path)
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(StoreUnavailable, match="is gone"):
        done(store.mint(asset("a1")))
    store.close()


def test_a_fault_of_ours_in_one_verb_fails_it_alone(path):
    store = opened(path)
    blob_of_nobody = asset("a1", content_type=None)  # breaks NOT NULL
    broken, sound = store.mint(blob_of_nobody), store.mint(asset("a2"))
    with pytest.raises(Exception, match="log says why"):
        done(broken)
    assert done(sound).created
    assert set(done(store.found(["a1", "a2"]))) == {"a2"}
    store.close()
