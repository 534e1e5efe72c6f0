"""Members of a shared queue, for the tests of the store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.members import Members
from tests.support.redis_server import RedisServer


@pytest.fixture
def members(redis_server: RedisServer) -> Iterator[Members]:
    """Opens members of one queue, each by its name."""
    made = Members(redis_server.url)
    yield made
    made.close()
