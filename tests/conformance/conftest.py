"""The storages that the suite is run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.harness import BullmqStorage, MemoryStorage, SqliteStorage, Storage
from tests.conformance.members import Members
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """One Redis for the whole run; every test has a namespace of its own."""
    with RedisServer() as server:
        yield server.url


@pytest.fixture(params=["memory", "sqlite", "bullmq"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    made: Storage
    if request.param == "bullmq":
        made = BullmqStorage(request.getfixturevalue("redis_url"))
    else:
        made = MemoryStorage() if request.param == "memory" else SqliteStorage(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def store(storage: Storage):
    return storage.start()


@pytest.fixture
def member(redis_url: str) -> Iterator[Members]:
    """Opens one more member of this test's queue."""
    members = Members(redis_url)
    yield members
    members.close()
