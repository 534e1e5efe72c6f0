"""A scrape over HTTP: fresh while the store answers, old but complete and on time when it does not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.model import JobStatus
from expeditor.routes.metrics import MetricsRoutes
from expeditor.store.records import DepthRow, QueueSummary
from expeditor.telemetry.metrics import Metrics
from tests.support.waiting import wait_until_async
from tests.unit.telemetry.made import value

THREE_WAIT = QueueSummary((DepthRow("ada", 5, JobStatus.QUEUED, 3, 12.0),), 1.0)
DEPTH = {"priority": "5", "status": "queued"}


class FakeStore:
    """Answers with a summary, with an error, or not at all."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Callable[[], Awaitable[QueueSummary]] = self.at_once

    async def __call__(self) -> QueueSummary:
        self.asked += 1
        return await self.answer()

    async def at_once(self) -> QueueSummary:
        return THREE_WAIT

    async def refuse(self) -> QueueSummary:
        raise StoreUnavailable("disk full")


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@asynccontextmanager
async def serving(registry: CollectorRegistry, store: FakeStore, deadline_s: float) -> AsyncIterator[TestClient]:
    app = web.Application()
    app.router.add_get("/metrics", MetricsRoutes(Metrics(registry, clock=lambda: 0.0), store, deadline_s).exposition)
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_a_scrape_shows_the_queue_as_it_is_now(registry: CollectorRegistry):
    async with serving(registry, FakeStore(), deadline_s=5.0) as client:
        answer = await client.get("/metrics")
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert 'expeditor_queue_depth{priority="5",status="queued"} 3.0' in await answer.text()
        answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        assert (await answer.text()).endswith("# EOF\n")


async def test_a_store_that_refuses_leaves_the_last_values(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
):
    store = FakeStore()
    async with serving(registry, store, deadline_s=5.0) as client:
        await client.get("/metrics")
        store.answer = store.refuse
        for _ in range(3):
            answer = await client.get("/metrics")
            assert answer.status == 200
        assert 'expeditor_queue_depth{priority="5",status="queued"} 3.0' in await answer.text()
        assert value(registry, "queue_refresh_failures_total") == 3
        assert [line.message for line in caplog.records if line.levelno >= logging.WARNING] == [
            "The queue's metrics are not current: disk full"
        ]


async def test_a_stuck_store_is_asked_once_and_its_late_answer_counts(registry: CollectorRegistry):
    store, released = FakeStore(), asyncio.Event()

    async def late() -> QueueSummary:
        await released.wait()
        return THREE_WAIT

    store.answer = late
    async with serving(registry, store, deadline_s=0.02) as client:
        for _ in range(3):
            assert (await client.get("/metrics")).status == 200
        assert store.asked == 1
        assert value(registry, "queue_refresh_failures_total") == 3
        assert value(registry, "queue_depth", **DEPTH) == 0
        released.set()
        await wait_until_async(lambda: value(registry, "queue_depth", **DEPTH) == 3)
