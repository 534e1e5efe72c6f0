"""A repeated `/prompt` behind our middleware: core is asked once, the repeat gets core's own words. Core's side is a fake."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from aiohttp import web

from expeditor.host.context import SUBMISSION, remember_commit, remember_refusal
from expeditor.host.middleware import Edge, middleware
from expeditor.host.native import new_job
from expeditor.intake.ceilings import Ceilings
from expeditor.intake.gate import StockGate
from expeditor.intake.idempotency import Repeats, Reservations
from expeditor.jobs.awaiting import Awaiter
from expeditor.jobs.errors import InputInvalid, QueueFull
from expeditor.jobs.principals import PrincipalRules
from expeditor.routes.errors import render_core_error
from tests.conformance.harness import MemoryStorage, done
from tests.support.depth import depth, fill
from tests.support.waiting import wait_until_async

UUID = "0b8f9c1e-0000-4000-8000-00000000abcd"
KEY = {"Idempotency-Key": "5f3c"}
PROMPT = {"1": {"class_type": "A", "inputs": {}}}
BY_KEY = {"headers": KEY, "json": {"prompt": PROMPT}}
BY_ID = {"json": {"prompt": PROMPT, "prompt_id": UUID}}
WAYS = pytest.mark.parametrize("sent", [BY_KEY, BY_ID, {**BY_KEY, **BY_ID}], ids=["key", "id", "both"])


class FakeProtection:
    """Refuses prompts that say so."""

    def protect(self, body):
        if body.get("prompt") == "refuse":
            raise InputInvalid("No.")


class FakeRequestLog:
    """Hears nothing."""

    def request(self, **_):
        pass


class FakeCore:
    """ComfyUI's handler with a queue that stores, as ours does; refuses what it is told to; waits for `opened`, where it is set."""

    def __init__(self, store) -> None:
        self.store = store
        self.asked = 0
        self.refusal = None
        self.answer = None
        self.puts = 1
        self.opened = None

    async def prompt(self, request):
        self.asked += 1
        refusal = self.refusal
        if self.opened is not None:
            await self.opened.wait()
        if self.answer is not None:
            return self.answer()
        body = SUBMISSION.get().body
        prompt_id = body.get("prompt_id", str(uuid.uuid4()))
        for put in range(self.puts):
            item = (self.asked, prompt_id if put == 0 else str(uuid.uuid4()), body["prompt"], {}, [], {})
            job = new_job(item, SUBMISSION.get(), 0.0)
            if refusal is not None:
                remember_refusal(refusal)
            else:
                remember_commit(self.store.enqueue(job))
        return web.json_response({"prompt_id": prompt_id, "number": self.asked, "node_errors": {}})


class Server:
    """The app's parts in reach."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.store = self.storage.start()
        self.core = FakeCore(self.store)
        self.depth = depth(jobs=60)
        rules = PrincipalRules(user_header="X-User", proxies=("127.0.0.1",))
        awaiter = Awaiter(10.0)
        self.reservations = Reservations(10.0)
        gate = StockGate(
            validation=FakeProtection(),
            principals=rules,
            ceilings=Ceilings(),
            depth=self.depth,
            max_bytes=9_000,
            max_depth=20,
        )
        self.app = web.Application()
        repeats = Repeats(self.store, awaiter, self.reservations)
        edge = Edge(gate, render_core_error, FakeRequestLog(), awaiter, repeats)
        self.app.middlewares.insert(0, middleware(edge))
        for path in ("/prompt", "/api/prompt"):
            self.app.router.add_post(path, self.core.prompt)

    def jobs(self):
        """How many jobs are stored."""
        return sum(row.jobs for row in done(self.store.summary()).rows)


@pytest.fixture
def server():
    made = Server()
    yield made
    made.storage.stop()


@pytest.fixture
async def http(server, aiohttp_client):
    return await aiohttp_client(server.app)


@WAYS
async def test_a_repeat_gets_cores_words_for_the_first_job_and_core_is_not_asked(http, server, sent):
    first = await http.post("/prompt", **sent)
    again = await http.post("/api/prompt", **sent)
    assert (first.status, again.status) == (200, 200)
    assert await again.json() == await first.json()
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert server.core.asked == server.jobs() == 1


@WAYS
async def test_another_body_is_a_conflict_in_cores_shape_that_names_the_job(http, server, sent):
    job_id = (await (await http.post("/prompt", **sent)).json())["prompt_id"]
    response = await http.post("/prompt", **{**sent, "json": {**sent["json"], "number": 5}})
    error = (await response.json())["error"]
    assert (response.status, response.reason, error["type"]) == (409, "CONFLICT", "conflict")
    assert error["extra_info"] == {"code": "CONFLICT", "job_id": job_id}
    assert job_id in error["message"]
    assert server.core.asked == 1


@WAYS
async def test_fifty_at_once_make_one_job_and_all_hear_of_it(http, server, sent):
    answers = await asyncio.gather(*(http.post("/prompt", **sent) for _ in range(50)))
    assert {answer.status for answer in answers} == {200}
    assert len({(await answer.json())["prompt_id"] for answer in answers}) == 1
    assert server.core.asked == server.jobs() == 1
    assert server.reservations.held == 0


@WAYS
async def test_a_refused_commit_gives_the_key_back(http, server, sent):
    server.core.refusal = QueueFull()
    assert (await http.post("/prompt", **sent)).status == 429
    server.core.refusal = None
    assert (await http.post("/prompt", **sent)).headers.get("Idempotent-Replayed") is None
    assert server.jobs() == 1


@WAYS
async def test_the_one_that_waits_goes_on_when_the_first_is_refused(http, server, sent):
    server.core.opened, server.core.refusal = asyncio.Event(), QueueFull()
    first = asyncio.ensure_future(http.post("/prompt", **sent))
    await wait_until_async(lambda: server.core.asked)
    waits = asyncio.ensure_future(http.post("/prompt", **sent))
    await asyncio.wait({waits}, timeout=0.1)
    assert server.core.asked == 1, "two of one key went on"
    server.core.refusal = None
    server.core.opened.set()
    assert ((await first).status, (await waits).status) == (429, 200)
    assert server.jobs() == 1


@pytest.mark.parametrize("raised", [False, True])
async def test_cores_own_refusal_gives_the_key_back(http, server, raised):
    def refuse():
        if raised:
            raise web.HTTPForbidden
        return web.json_response({"error": "no"}, status=400)

    server.core.answer = refuse
    assert (await http.post("/prompt", **BY_KEY)).status in {400, 403}
    assert server.reservations.held == 0
    server.core.answer = None
    assert (await http.post("/prompt", **BY_KEY)).status == 200
    assert server.jobs() == 1


async def test_a_refusal_of_ours_gives_the_key_back(http, server):
    assert (await http.post("/prompt", headers=KEY, json={"prompt": "refuse"})).status == 400
    assert (await http.post("/prompt", **BY_KEY)).status == 200
    assert server.reservations.held == 0


async def test_a_full_queue_never_hides_a_job_that_is_in(http, server):
    await http.post("/prompt", **BY_KEY)
    fill(server.depth, 60)
    assert (await http.post("/prompt", **BY_KEY)).status == 200
    assert (await http.post("/prompt", json={"prompt": PROMPT})).status == 429


@pytest.mark.parametrize("key", ["", "a b", "x" * 256])
async def test_what_cannot_be_a_key_is_a_400_in_cores_shape(http, server, key):
    response = await http.post("/prompt", headers={"Idempotency-Key": key}, json={"prompt": PROMPT})
    error = (await response.json())["error"]
    assert (response.status, error["extra_info"]["code"]) == (400, "INPUT_INVALID")
    assert "Idempotency-Key" in error["message"]
    assert server.core.asked == 0


async def test_a_request_that_puts_several_jobs_gives_its_key_to_the_first(http, server):
    server.core.puts = 3
    first = await (await http.post("/prompt", **BY_KEY)).json()
    assert (await (await http.post("/prompt", **BY_KEY)).json())["prompt_id"] == first["prompt_id"]
    assert server.jobs() == 3


async def test_without_a_key_every_request_is_a_job_and_the_store_is_asked_nothing(http, server):
    for number in range(3):
        assert (await (await http.post("/prompt", json={"prompt": PROMPT})).json())["number"] == number + 1
    assert server.jobs() == 3


async def test_a_store_that_is_closed_makes_no_request_a_repeat(http, server):
    """Expeditor stands down: ComfyUI's own queue takes the jobs, and nothing is remembered."""
    server.storage.stop()
    server.core.answer = lambda: web.json_response({"prompt_id": "core's"})
    answers = [await http.post("/prompt", **BY_KEY) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert server.core.asked == 2
