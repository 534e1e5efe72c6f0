"""The small app of `tests.http.edge`, served for one test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.edge import App
from tests.http.v2_edge import V2App


@pytest.fixture
def edge() -> Iterator[App]:
    made = App()
    yield made
    made.storage.stop()


@pytest.fixture
async def http(edge, aiohttp_client):
    return await aiohttp_client(edge.web)


@pytest.fixture
def v2_edge(tmp_path: Path) -> Iterator[V2App]:
    made = V2App(tmp_path)
    yield made
    made.shelf.store.close()
    made.storage.stop()


@pytest.fixture
async def v2(v2_edge, aiohttp_client):
    return await aiohttp_client(v2_edge.web)
