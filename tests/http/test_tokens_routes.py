"""Tokens over real HTTP: who a request is, what it may, and which routes stay open without one."""

from __future__ import annotations

import re

import pytest

from expeditor.intake.tokens import Token, Tokens
from tests.http.edge import PROMPT, App, refusal
from tests.unit.intake.test_tokens import sha256

SECRET = "a-secret-that-nobody-may-see"
SHOP = {"Authorization": f"Bearer {SECRET}"}
OPS = {"Authorization": "Bearer the-secret-of-the-operator"}
WRONG = {"Authorization": "Bearer somebody-elses"}
TOKENS = (Token("shop", sha256(SECRET), 6, 7), Token("ops", sha256("the-secret-of-the-operator"), admin=True))


@pytest.fixture
def edge():
    made = App(Tokens(TOKENS))
    yield made
    made.storage.stop()


@pytest.fixture
def strict():
    made = App(Tokens(TOKENS, required=True))
    yield made
    made.storage.stop()


async def submitted(http, headers, **fields):
    response = await http.post("/expeditor/submit", json={"prompt": PROMPT, **fields}, headers=headers)
    assert response.status == 201
    job = await response.json()
    return job["principal"], job["priority"]


async def test_a_token_names_the_principal_and_its_default_priority(http):
    assert await submitted(http, SHOP, client_id="ada") == ("shop", 6)
    assert await submitted(http, SHOP, priority=2) == ("shop", 2)
    assert await submitted(http, {}, client_id="shop") == ("shop", 3)


async def test_a_token_wins_over_a_proxy_header(http):
    assert await submitted(http, {**SHOP, "X-User": "grace"}) == ("shop", 6)


async def test_its_ceiling_holds(http):
    response = await http.post("/expeditor/submit", json={"prompt": PROMPT, "priority": 8}, headers=SHOP)
    assert (await refusal(response))[:2] == (403, "PRIORITY_NOT_ALLOWED")


@pytest.mark.parametrize(
    "path", ["/expeditor/queue", "/expeditor/jobs", "/expeditor/messages/pending", "/expeditor/schema"]
)
async def test_a_wrong_token_is_401_where_none_would_be_fine(http, path):
    response = await http.get(path, headers=WRONG)
    assert (await refusal(response))[:2] == (401, "UNAUTHENTICATED")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert (await http.get(path)).status == 200


async def test_a_wrong_token_changes_nothing(http, edge):
    response = await http.post("/expeditor/submit", json={"prompt": PROMPT}, headers=WRONG)
    assert response.status == 401
    assert edge.door.entries == []


async def test_with_require_token_only_monitoring_is_open(strict, aiohttp_client):
    http = await aiohttp_client(strict.web)
    answers = {}
    for route in strict.rows:
        path = re.sub(r"{\w+}", "1", route.path)
        answers[f"{route.method} {route.path}"] = (await http.request(route.method, path)).status
    opened = {"GET /expeditor/health", "GET /expeditor/ready", "GET /expeditor/metrics"}
    assert {route for route, status in answers.items() if status != 401} == opened
    assert await submitted(http, SHOP) == ("shop", 6)


async def test_the_list_is_for_an_admin_and_has_no_secrets(http):
    response = await http.get("/expeditor/tokens", headers=OPS)
    text = await response.text()
    assert (await response.json())["tokens"] == [
        {"name": "shop", "priority": 6, "max_priority": 7, "admin": False, "webhook": False},
        {"name": "ops", "priority": None, "max_priority": None, "admin": True, "webhook": False},
    ]
    assert SECRET not in text
    assert sha256(SECRET) not in text
    assert (await refusal(await http.get("/expeditor/tokens", headers=SHOP)))[:2] == (403, "FORBIDDEN")
    assert (await refusal(await http.get("/expeditor/tokens")))[:2] == (401, "UNAUTHENTICATED")
