"""The migrate command on a real Redis, as it is run on ComfyUI's machine: there and back, killed on the way, refused."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from expeditor.jobs.model import JobStatus
from expeditor.store.base import JobStore
from expeditor.store.records import JobQuery
from tests.conformance.harness import BullmqStorage, SqliteStorage, claim, done, enqueue, new_job
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with RedisServer() as server:
        yield server.url


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqliteStorage]:
    storage = SqliteStorage(tmp_path)
    storage.path = tmp_path / "expeditor.sqlite3"
    yield storage
    storage.stop()


@pytest.fixture
def shared(redis_url: str) -> Iterator[BullmqStorage]:
    storage = BullmqStorage(redis_url)
    yield storage
    storage.stop()


def command(file: SqliteStorage, shared: BullmqStorage, *arguments: str) -> list[str]:
    where = ("--data-dir", str(file.path.parent), "--namespace", shared.namespace, "--instance", "gpu1")
    return [sys.executable, str(ROOT / "migrate.py"), *where, *arguments]


def migrate(file: SqliteStorage, shared: BullmqStorage, *arguments: str) -> subprocess.CompletedProcess[str]:
    asked = command(file, shared, *arguments)
    return subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False, cwd=file.path.parent)


def waiting(store: JobStore) -> dict[str, str | None]:
    """The jobs that wait, and where they were submitted."""
    found: dict[str, str | None] = {}
    query = JobQuery(statuses=(JobStatus.QUEUED,), limit=1000)
    while True:
        page = done(store.page(query))
        found |= {job.id: job.origin for job in page.jobs}
        if page.next_cursor is None:
            return found
        query = JobQuery(statuses=(JobStatus.QUEUED,), limit=1000, cursor=page.next_cursor)


def so_far(queue: JobStore, total: int, part: int, way: str) -> bool:
    """Whether more than this part of all has moved."""
    there = len(waiting(queue))
    return there > part if way == "--to" else there < total - part


def test_there_and_back(file: SqliteStorage, shared: BullmqStorage, redis_url: str) -> None:
    store = file.start()
    for number in range(5):
        enqueue(store, f"j{number}")
    claim(store)  # its server is killed
    file.stop()
    looked = migrate(file, shared, "--to", redis_url, "--dry-run")
    assert looked.stdout.startswith(f"4 waiting jobs would move to {redis_url}")
    assert "1 ran when the server ended" in looked.stdout
    went = migrate(file, shared, "--to", redis_url)
    assert (went.returncode, went.stdout.split(" to ")[0]) == (0, "5 waiting jobs moved"), went.stderr
    queue = shared.start()
    assert waiting(queue) == dict.fromkeys((f"j{number}" for number in range(5)), "gpu1")
    assert waiting(file.start()) == {}
    file.stop()
    done(queue.enqueue(new_job("theirs", origin="gpu2")))
    back = migrate(file, shared, "--from", redis_url)
    assert (back.returncode, back.stdout.split(" from ")[0]) == (0, "5 waiting jobs moved"), back.stderr
    assert waiting(queue) == {"theirs": "gpu2"}
    assert migrate(file, shared, "--from", redis_url, "--all").stdout.startswith("1 waiting jobs moved")
    assert waiting(file.start()) == {**dict.fromkeys((f"j{number}" for number in range(5)), None), "theirs": None}


def test_a_server_that_has_the_file_open_is_left_alone(
    file: SqliteStorage, shared: BullmqStorage, redis_url: str
) -> None:
    enqueue(file.start(), "j")
    refused = migrate(file, shared, "--to", redis_url)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"in use by process {os.getpid()}" in refused.stderr
    assert file.store is not None
    assert list(waiting(file.store)) == ["j"]


def test_killed_on_the_way_and_run_again(file: SqliteStorage, shared: BullmqStorage, redis_url: str) -> None:
    store = file.start()
    ids = {str(uuid.uuid4()) for _ in range(600)}
    for future in [store.enqueue(new_job(job_id)) for job_id in ids]:
        done(future)
    file.stop()
    queue = shared.start()
    for way in ("--to", "--from"):
        kills = 0
        for part in (100, 300):
            with subprocess.Popen(command(file, shared, way, redis_url), stdout=subprocess.DEVNULL) as moving:
                enough = partial(so_far, queue, len(ids), part, way)
                wait_until(lambda: enough() or moving.poll() is not None)  # noqa: B023 - asked at once
                kills += moving.poll() is None
                moving.kill()
        assert kills > 0
        finished = migrate(file, shared, way, redis_url)
        assert finished.returncode == 0, finished.stderr
        at_home = set(waiting(file.start()))
        file.stop()
        assert (at_home, set(waiting(queue))) == ((set(), ids) if way == "--to" else (ids, set()))


def test_what_cannot_be_carried_out_says_why(file: SqliteStorage, shared: BullmqStorage, redis_url: str) -> None:
    assert "no database at" in migrate(file, shared, "--to", redis_url).stderr
    file.start()
    file.stop()
    assert "Which shared queue?" in migrate(file, shared, "--to").stderr
    nobody = migrate(file, shared, "--to", "redis://:secret@127.0.0.1:1/0")
    assert (nobody.returncode, "nobody listens there" in nobody.stderr, "secret" in nobody.stderr) == (1, True, False)
    unnamed = migrate(file, shared, "--to", redis_url, "--instance", "Not A Name")
    assert (unnamed.returncode, "Give --instance" in unnamed.stderr) == (2, True)
