"""The storages that the suite is run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.harness import MemoryStorage, SqliteStorage, Storage


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    made = MemoryStorage() if request.param == "memory" else SqliteStorage(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def store(storage: Storage):
    return storage.start()
