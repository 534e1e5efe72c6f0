"""120 clients on ComfyUI's socket at once, each with many jobs: each hears of its own jobs only, all of it, in order.

Eight jobs each in every run; 120 each with `--full`.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from tests.host.stock_walk import TEST_NODES
from tests.support.comfy_server import RealComfyUI

CLIENTS = 120
AT_ONCE = 32
OURS = "expeditor.event"
CORES = ["execution_start", "execution_cached", "execution_success", "executing end"]
LIFE = ["job.queued", "job.started", "job.succeeded"]
PROMPT = {"1": {"class_type": "ExpeditorTestSleepy", "inputs": {"seconds": 0.0, "steps": 1, "salt": 120}}}


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES], env={"EXPEDITOR_MAX_WAITING_JOBS": "0"}) as running:
        yield running


@dataclass
class Client:
    """One socket and what it heard, by job; `order` has the jobs as they were first said to run."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    submitted: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    words: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    numbers: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    over: int = 0
    succeeded: int = 0

    def hear(self, kind: str, data: dict[str, Any]) -> None:
        if kind == OURS:
            self.words[data["job_id"]].append(data["type"])
            self.numbers[data["job_id"]].append(data["number"])
            self.succeeded += data["type"] == "job.succeeded"
        elif "prompt_id" in data:
            if kind == "executing" and data["node"] is None:
                kind, self.over = "executing end", self.over + 1
            if kind == "execution_start":
                self.order.append(data["prompt_id"])
            self.words[data["prompt_id"]].append(kind)

    async def listen(self, socket: aiohttp.ClientWebSocketResponse, jobs: int) -> None:
        while self.over < jobs or self.succeeded < jobs:
            message = await socket.receive(timeout=300)
            assert message.type is aiohttp.WSMsgType.TEXT, message
            said = json.loads(message.data)
            self.hear(said["type"], said["data"])

    def check(self) -> None:
        assert self.order == self.submitted
        assert set(self.words) == set(self.submitted)
        for job_id, words in self.words.items():
            assert [word for word in words if word in LIFE] == LIFE
            assert [word for word in words if word in CORES] == CORES
            assert self.numbers[job_id] == [1, 2, 3]


async def _all(server: RealComfyUI, jobs: int) -> list[Client]:
    clients, room = [Client() for _ in range(CLIENTS)], asyncio.Semaphore(AT_ONCE)
    async with aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(limit=0)) as http:

        async def submit(client: Client) -> None:
            async with room:
                body = {"prompt": PROMPT, "client_id": client.id}
                answer = await http.post("/prompt", json=body)
                assert answer.status == 200, await answer.text()
                client.submitted.append((await answer.json())["prompt_id"])

        async def live(client: Client) -> None:
            async with http.ws_connect(f"/ws?clientId={client.id}", max_msg_size=0) as socket:
                await socket.receive(timeout=60)
                listening = asyncio.create_task(client.listen(socket, jobs))
                for _ in range(jobs):
                    await submit(client)
                await listening

        await http.post(
            "/prompt", json={"prompt": PROMPT, "client_id": "first"}
        )  # from here on every job comes from the cache
        await asyncio.gather(*map(live, clients))
    return clients


@pytest.mark.parametrize("jobs", [8, pytest.param(120, marks=pytest.mark.full)])
def test_each_client_hears_its_own_jobs_only_all_of_it_and_in_order(server, jobs):
    clients = asyncio.run(_all(server, jobs))
    assert len(clients) == CLIENTS
    for client in clients:
        assert len(client.submitted) == jobs
        client.check()
