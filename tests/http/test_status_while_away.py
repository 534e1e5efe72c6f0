"""What a load balancer and a person hear over HTTP while the shared queue's Redis is away: not ready, and why; and when it is back, ready
again without anybody having to ask for work. A real Redis, the real store, health and routes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web

from expeditor.host.board import ON, HookBoard
from expeditor.jobs.errors import ExpeditorError
from expeditor.routes.status import StatusRoutes
from expeditor.runtime.health import Beside, Health, LoopLag, StoreWatch
from expeditor.store.base import StoreState
from tests.support.redis_server import RedisServer
from tests.support.store_member import Member
from tests.support.waiting import wait_until_async

WELL = StoreState("sqlite", True, None, 0)


@pytest.fixture
def member(own_redis: RedisServer) -> Iterator[Member]:
    made = Member(own_redis.url)
    yield made
    made.close()


@pytest.fixture
async def http(member: Member, aiohttp_client: Any) -> Any:
    """Health and readiness of a server whose queue is that member's, with the watch that looks after its store."""
    board = HookBoard()
    board.set("queue", ON)
    health = Health(
        board=board,
        store=member.store,
        lag=LoopLag(),
        comfyui_version="0.3.75",
        worker_alive=lambda: True,
        too_full=lambda: None,
        beside=Beside(lambda: WELL, lambda: WELL),
    )
    routes = StatusRoutes(health.facts, health.not_ready)
    app = web.Application()
    app.add_routes([web.get("/health", routes.health), web.get("/ready", routes.ready)])
    client = await aiohttp_client(app)
    watch = asyncio.ensure_future(StoreWatch(member.store, 0.05).watch())
    yield client
    watch.cancel()
    with suppress(asyncio.CancelledError):
        await watch


async def told(http: Any) -> tuple[int, str | None, str, str | None]:
    """The status and the reason of readiness, the status and the fault of health, which is 200 whatever it says."""
    ready, health = await http.get("/ready"), await http.get("/health")
    assert health.status == 200
    facts = await health.json()
    return ready.status, (await ready.json())["reason"], facts["status"], facts["fault"]


async def asked_of(member: Member) -> None:
    """What the keeper does every second."""
    with suppress(ExpeditorError):
        await asyncio.wrap_future(member.store.tick())


@pytest.mark.parametrize(
    ("how", "why"), [("kill", "nobody listens there"), ("stop_world", "it does not answer in time")]
)
async def test_while_redis_is_away_the_server_is_not_ready_and_says_why(
    http: Any, member: Member, own_redis: RedisServer, how: str, why: str
) -> None:
    assert await told(http) == (200, None, "ok", None)
    getattr(own_redis, how)()
    await asked_of(member)
    reason = f"store: The shared store cannot be used: {why}."
    assert await told(http) == (503, reason, "degraded", reason)
    if how == "kill":
        own_redis.start()
    else:
        own_redis.go_on()

    async def well() -> bool:
        return await told(http) == (200, None, "ok", None)

    await wait_until_async(well, poll_s=0.05, what="a server that is ready again")
