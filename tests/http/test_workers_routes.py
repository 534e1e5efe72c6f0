"""The instances over HTTP, on a server that stands alone; the same of several is tests/unit/runtime/test_membership.py."""

from __future__ import annotations

import hashlib

from expeditor.intake.tokens import Token, Tokens
from tests.conformance.harness import done, enqueue
from tests.http.edge import PROMPT, App, refusal

WORKERS = "/expeditor/workers"


async def posted(http, path):
    response = await http.post(path)
    assert response.status == 200, await response.text()
    return await response.json()


async def test_alone_it_lists_itself(http):
    told = await (await http.get(WORKERS)).json()
    assert told["here"] == "here"
    (worker,) = told["workers"]
    assert (worker["name"], worker["state"], worker["pools"], worker["running"]) == ("here", "active", ["default"], [])


async def test_alone_a_wish_is_the_queues_own(http, edge):
    enqueue(edge.store, "a")
    for path in (f"{WORKERS}/here/pause", f"{WORKERS}/pause"):
        told = await posted(http, path)
        assert (told["wished"], told["workers"][0]["state"]) == ("paused", "paused")
        assert done(edge.store.claim()) is None
        assert (await posted(http, f"{WORKERS}/here/resume"))["workers"][0]["state"] == "active"
    for path in (f"{WORKERS}/here/drain", f"{WORKERS}/drain"):
        assert (await posted(http, path))["workers"][0]["state"] == "draining"
        assert await refusal(await http.post("/expeditor/submit", json={"prompt": PROMPT})) == (503, "DRAINING", [])
        assert (await posted(http, f"{WORKERS}/resume"))["workers"][0]["state"] == "active"
    assert done(edge.store.claim()).job.id == "a"


async def test_one_of_them_tells_what_it_can_run(http):
    told = await (await http.get(f"{WORKERS}/here")).json()
    (listed,) = (await (await http.get(WORKERS)).json())["workers"]
    assert told == {**listed, "seen_at": told["seen_at"], "node_classes": ["A", "B"], "models_on_disk": ["x.ckpt"]}


async def test_a_name_that_nobody_has(http, edge):
    assert await refusal(await http.get(f"{WORKERS}/elsewhere")) == (404, "NOT_FOUND", [])
    for verb in ("pause", "drain", "resume"):
        assert await refusal(await http.post(f"{WORKERS}/elsewhere/{verb}")) == (404, "NOT_FOUND", [])
    assert edge.flow.claims


async def test_a_token_is_asked_for_as_on_the_queues_routes(aiohttp_client):
    edge = App(Tokens([Token("shop", hashlib.sha256(b"a-long-enough-secret").hexdigest())], required=True))
    http = await aiohttp_client(edge.web)
    assert await refusal(await http.get(WORKERS)) == (401, "UNAUTHENTICATED", [])
    assert await refusal(await http.post(f"{WORKERS}/drain")) == (401, "UNAUTHENTICATED", [])
    assert edge.flow.claims
    edge.storage.stop()
