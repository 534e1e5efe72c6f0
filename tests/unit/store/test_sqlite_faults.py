"""A SQLite queue whose disk fails: nothing is told that is not stored, and the next write tries again."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from expeditor.jobs.errors import Internal, StoreUnavailable
from expeditor.jobs.model import Payload
from expeditor.store.records import JobQuery
from expeditor.store.sqlite import SqliteStore
from tests.conformance.harness import SqliteStorage, done, enqueue, new_job

SUPPORT = Path(__file__).parents[2] / "support"


@pytest.fixture
def storage(tmp_path):
    made = ImpatientStorage(tmp_path)
    yield made
    made.stop()


class ImpatientStorage(SqliteStorage):
    """A store that gives up on a locked file at once."""

    def make(self, boot_id: str) -> SqliteStore:
        return SqliteStore(path=self.path, busy_timeout_s=0.01, **self.parts(boot_id))


def test_a_locked_file_refuses_the_whole_batch_and_then_works_again(storage, caplog):
    store = storage.start()
    enqueue(store, "before")
    with closing(sqlite3.connect(storage.path, isolation_level=None)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        futures = [store.enqueue(new_job(f"j{n}")) for n in range(5)]
        faults = [future.exception(30) for future in futures]
        assert {type(fault) for fault in faults} == {StoreUnavailable}
        assert len({id(fault) for fault in faults}) == 5
        assert "locked" in (store.state().error or "")
        assert done(store.get("before")) is not None  # reading goes on
        assert done(store.get("j0")) is None
    assert [event.job.id for event in storage.ears.events] == ["before"]
    enqueue(store, "j0")
    assert store.state().error is None
    assert [event.job.id for event in storage.ears.events] == ["before", "j0"]
    assert caplog.messages.count("the queue can be written again") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be moved there")
@pytest.mark.parametrize("ending", ["", "-wal"], ids=["database", "journal"])
@pytest.mark.parametrize("replaced", [False, True], ids=["gone", "replaced"])
def test_a_database_taken_away_under_the_server_takes_nothing_more_until_it_is_back(storage, ending, replaced):
    """What SQLite goes on writing to then is gone with the process: it says no word of it."""
    store = storage.start()
    enqueue(store, "before")
    file = storage.path.with_name(storage.path.name + ending)
    away = file.with_name("away")
    file.rename(away)
    if replaced:
        file.write_bytes(away.read_bytes())
    assert isinstance(store.enqueue(new_job("a")).exception(30), StoreUnavailable)
    assert isinstance(store.claim().exception(30), StoreUnavailable)
    assert f"{file.name} is gone" in (store.state().error or "")
    away.replace(file)
    enqueue(store, "a")
    assert store.state().error is None
    assert {job.id for job in done(store.page(JobQuery())).jobs} == {"before", "a"}


def test_an_empty_claim_does_not_say_that_writing_works(storage):
    store = storage.start()
    with closing(sqlite3.connect(storage.path, isolation_level=None)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        assert isinstance(store.enqueue(new_job("a")).exception(30), StoreUnavailable)
    assert done(store.claim()) is None
    assert store.state().error is not None


def test_a_probe_finds_out_that_writing_works_again(storage, caplog):
    store = storage.start()
    enqueue(store, "before")
    with closing(sqlite3.connect(storage.path, isolation_level=None)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        assert isinstance(store.probe().exception(30), StoreUnavailable)
        assert "locked" in (store.state().error or "")
        assert isinstance(store.probe().exception(30), StoreUnavailable)
    assert done(store.probe()) is None
    assert store.state().error is None
    assert [event.job.id for event in storage.ears.events] == ["before"]


class Unstorable(str):
    """Passes for text until SQLite binds it."""

    __slots__ = ()

    def __conform__(self, _protocol: object) -> object:
        return object()


def test_a_verb_that_breaks_half_way_takes_back_only_itself(storage, caplog):
    store = storage.start()
    publishing, hold = threading.Event(), threading.Event()

    def listen(_events: object) -> None:
        publishing.set()
        hold.wait(30)

    storage.ears.on_publish = listen
    first = store.enqueue(new_job("a"))
    assert publishing.wait(30)
    broken = new_job("c", payload=Payload("{}", "{}", Unstorable("[]")))  # breaks after the job's own row was written
    asked = [store.enqueue(new_job("b")), store.enqueue(broken), store.enqueue(new_job("d"))]
    hold.set()
    assert done(first).id == "a"
    assert [type(future.exception(30)) for future in asked] == [type(None), Internal, type(None)]
    assert [job.id for job in done(store.page(JobQuery())).jobs] == ["d", "b", "a"]
    assert [verbs for _, verbs in storage.ears.commits] == [1, 3]
    assert "a verb of the store failed unexpectedly" in caplog.text
    assert store.state().error is None


def test_many_callers_share_a_commit(tmp_path):
    storage = SqliteStorage(tmp_path)
    store = SqliteStore(path=storage.path, commit_delay_s=0.02, **storage.parts("boot"))
    store.open()
    for future in [store.enqueue(new_job(f"j{n}")) for n in range(100)]:
        done(future)
    assert sum(verbs for _, verbs in storage.ears.commits) == 100
    assert len(storage.ears.commits) < 20
    assert all(duration_s >= 0.02 for duration_s, _ in storage.ears.commits)
    store.close()


FILLER = """
import json, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import child_imports
from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.model import Payload
from tests.conformance.harness import SqliteStorage, new_job
storage = SqliteStorage(Path(sys.argv[1]))
store = storage.start()
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, unlimited[1]))
accepted, refused = [], []
for n in range(200):
    job = new_job(f"j{n}", payload=Payload("x" * 50_000, "{}", "[]"))
    fault = store.enqueue(job).exception(30)
    (accepted if fault is None else refused).append(job.id)
    assert fault is None or isinstance(fault, StoreUnavailable), fault
assert store.state().error
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
store.enqueue(new_job("after")).result(30)
assert store.state().error is None
told = [event.job.id for event in storage.ears.events]
print(json.dumps({"accepted": [*accepted, "after"], "refused": refused, "told": told}), flush=True)
import os
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(os.name == "nt", reason="a limit of the file's size needs resource.setrlimit")
def test_a_full_disk_refuses_and_loses_nothing(storage):
    command = [sys.executable, "-c", FILLER, str(storage.path.parent), str(SUPPORT)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.stdout, result.stderr
    said = json.loads(result.stdout)
    assert said["refused"], "the disk was never full"
    assert said["told"] == said["accepted"]
    stored = done(storage.start().page(JobQuery(limit=1000))).jobs
    assert [job.id for job in reversed(stored)] == said["accepted"]
