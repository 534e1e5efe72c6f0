"""The small app of `tests.http.edge`, served for one test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.http.edge import App


@pytest.fixture
def edge() -> Iterator[App]:
    made = App()
    yield made
    made.storage.stop()


@pytest.fixture
async def http(edge, aiohttp_client):
    return await aiohttp_client(edge.web)
