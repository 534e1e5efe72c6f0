"""The outermost middleware in front of a fake core: protection, commit before answer, and the log of requests."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import Future
from dataclasses import replace

import pytest
from aiohttp import web

from expeditor.host.context import SUBMISSION, note_client_id, remember_commit
from expeditor.host.middleware import Edge, middleware
from expeditor.intake.ceilings import Ceilings
from expeditor.intake.gate import StockGate
from expeditor.jobs.awaiting import Awaiter
from expeditor.jobs.errors import Conflict, Fault, InputInvalid, Internal, StoreUnavailable
from expeditor.jobs.principals import PrincipalRules
from expeditor.routes.errors import render_core_error
from tests.support.depth import depth, fill
from tests.support.waiting import wait_until_async

MAX_UPLOAD = 5_000


class FakeProtection:
    """Refuses prompts that say so."""

    def protect(self, body):
        if body.get("prompt") == "refuse":
            fault = Fault("/prompt", "INPUT_INVALID", "No.", node_id="3", class_type="A", core_type="odd")
            raise InputInvalid("No.", faults=(fault,))


class FakeRepeats:
    """Nothing here has a key, so nobody asks."""

    async def turn(self, principal, key):
        raise AssertionError("a request without a key was looked up")


class FakeRequestLog:
    """Keeps every request that it is told of."""

    def __init__(self) -> None:
        self.seen = []

    def request(self, **fields):
        assert fields.pop("duration_s") >= 0
        self.seen.append(fields)


class FakeCore:
    """ComfyUI's side: its handlers, and the commits that its queue would cause."""

    def __init__(self) -> None:
        self.commits: list[Future] = []
        self.submissions = []
        self.bodies = []
        self.reached = asyncio.Event()

    async def prompt(self, request):
        self.submissions.append(SUBMISSION.get())
        self.bodies.append(await request.json())
        for commit in self.commits:
            remember_commit(commit)
        self.reached.set()
        return web.json_response({"prompt_id": "a", "number": 1, "node_errors": {}})

    async def queue(self, request):
        for commit in self.commits:
            remember_commit(commit)
        return web.Response(status=200)

    async def fails(self, request):
        raise RuntimeError("a fault of core")

    async def forbidden(self, request):
        raise web.HTTPForbidden

    async def own(self, request):
        note_client_id((await request.json()).get("client_id"))
        return web.Response(status=429, headers={"X-Expeditor-Code": "QUEUE_FULL"})


class Server:
    """The app's parts in reach."""

    def __init__(self) -> None:
        self.core = FakeCore()
        self.log = FakeRequestLog()
        rules = PrincipalRules(user_header="X-User", proxies=("127.0.0.1",))
        self.depth = depth(jobs=2)
        gate = StockGate(
            validation=FakeProtection(),
            principals=rules,
            ceilings=Ceilings(),
            depth=self.depth,
            max_bytes=1_000,
            max_depth=20,
        )
        edge = Edge(gate, render_core_error, self.log, Awaiter(5.0), FakeRepeats())
        self.app = web.Application(client_max_size=MAX_UPLOAD)
        self.app.middlewares.insert(0, middleware(edge))
        for prefix in ("", "/api"):
            self.app.router.add_post(prefix + "/prompt", self.core.prompt)
            self.app.router.add_post(prefix + "/queue", self.core.queue)
            self.app.router.add_post(prefix + "/free", self.core.queue)
            self.app.router.add_get(prefix + "/history/{prompt_id}", self.core.queue)
            self.app.router.add_get(prefix + "/fails", self.core.fails)
            self.app.router.add_get(prefix + "/forbidden", self.core.forbidden)
            self.app.router.add_post(prefix + "/own", self.core.own)
            self.app.router.add_get(prefix + "/view", self.core.queue)
            self.app.router.add_get(prefix + "/", self.core.queue)
        self.app.router.add_get("/api/v2/jobs/{job_id}", self.core.queue)
        self.edge = edge


def failed(error):
    commit: Future = Future()
    commit.set_exception(error)
    return commit


def committed():
    commit: Future = Future()
    commit.set_result(None)
    return commit


@pytest.fixture
def server():
    return Server()


@pytest.fixture
async def http(server, aiohttp_client):
    return await aiohttp_client(server.app)


@pytest.mark.parametrize("path", ["/prompt", "/api/prompt"])
async def test_a_prompt_reaches_core_with_what_was_lifted_beside_it(http, server, path):
    body = {"prompt": {"_priority": 8, "1": {}}, "client_id": "ada", "front": True}
    response = await http.post(path, json=body)
    assert (response.status, (await response.json())["prompt_id"]) == (200, "a")
    (seen,) = server.core.submissions
    assert (seen.priority, seen.principal.name, seen.front) == (8, "ada", True)
    assert seen.body == {"prompt": {"1": {}}, "client_id": "ada", "front": True}
    assert server.core.bodies == [body], "core reads the body that the client sent"


async def test_a_trusted_proxy_names_the_principal(http, server):
    await http.post("/prompt", json={"prompt": {}, "client_id": "ada"}, headers={"X-User": "grace"})
    assert server.core.submissions[0].principal.name == "grace"


async def test_nothing_of_a_request_stays_for_the_next(http, server):
    await http.post("/prompt", json={"prompt": {}, "_priority": 9, "client_id": "ada"})
    await http.post("/prompt", json={"prompt": {}})
    first, second = server.core.submissions
    assert (first.priority, second.priority) == (9, 3)
    assert [fields["client_id"] for fields in server.log.seen] == ["ada", None]


async def test_a_full_queue_is_told_in_cores_words_and_core_is_not_asked(http, server):
    fill(server.depth, 2)
    response = await http.post("/prompt", json={"prompt": {"1": {}}})
    body = await response.json()
    assert (response.status, response.reason, response.headers["Retry-After"]) == (429, "QUEUE_FULL", "1")
    assert (body["error"]["type"], body["error"]["extra_info"]["code"]) == ("QUEUE_LIMIT", "QUEUE_FULL")
    assert server.core.submissions == []
    assert server.log.seen[-1]["code"] == "QUEUE_FULL"


async def test_what_a_request_leaves_behind_knows_that_it_was_answered(http, server):
    await http.post("/prompt", json={"prompt": {"1": {}}})
    assert [submission.answered for submission in server.core.submissions] == [True]


async def test_the_answer_waits_for_the_commit(http, server):
    commit: Future = Future()
    server.core.commits = [committed(), commit]
    asked = asyncio.ensure_future(http.post("/prompt", json={"prompt": {}}))
    await server.core.reached.wait()
    done, _ = await asyncio.wait({asked}, timeout=0.05)
    assert not done, "core has answered, but the job is not committed"
    commit.set_result(None)
    assert (await asked).status == 200


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (StoreUnavailable("The disk is full.", retry_after_s=9), 503, "store_unavailable"),
        (Conflict("The id is known already."), 409, "conflict"),
        (Internal(), 500, "internal"),
        (InputInvalid("Half a surrogate pair."), 400, "prompt_outputs_failed_validation"),
    ],
)
async def test_a_commit_that_fails_is_the_answer_in_cores_shape(http, server, error, status, kind):
    server.core.commits = [failed(error)]
    response = await http.post("/prompt", json={"prompt": {}})
    body = await response.json()
    assert (response.status, body["error"]["type"], body["node_errors"]) == (status, kind, {})
    assert body["error"]["message"] == f"{error.code}: {error.message}"
    assert (response.headers["X-Expeditor-Code"], response.reason) == (error.code, error.code)
    assert response.headers.get("Retry-After") == ("9" if status == 503 else None)
    assert (server.log.seen[0]["status"], server.log.seen[0]["code"]) == (status, error.code)


async def test_a_commit_that_does_not_come_is_503_and_says_what_to_do(aiohttp_client):
    server = Server()
    server.core.commits = [Future()]
    impatient = replace(server.edge, awaiter=Awaiter(0.01))
    server.app.middlewares[0] = middleware(impatient)
    http = await aiohttp_client(server.app)
    response = await http.post("/prompt", json={"prompt": {}})
    assert response.status == 503
    assert "Ask for the job before you submit it again" in (await response.json())["error"]["message"]
    server.core.commits[0].set_result(None)  # nobody cancelled it: the store may still commit


async def test_a_client_that_goes_away_takes_nothing_back(http, server):
    commit: Future = Future()
    server.core.commits = [commit]
    asked = asyncio.ensure_future(http.post("/prompt", json={"prompt": {}}))
    await server.core.reached.wait()
    asked.cancel()
    await asyncio.wait({asked})
    assert not commit.cancelled()
    commit.set_result(None)
    await wait_until_async(lambda: server.log.seen)
    assert server.log.seen[0]["status"] in (200, 499)


@pytest.mark.parametrize(
    ("sent", "status", "code", "kind"),
    [
        ({"data": "{"}, 400, "INVALID_JSON", "invalid_json"),
        ({"data": ""}, 400, "INVALID_JSON", "invalid_json"),
        ({"data": "[]"}, 400, "INVALID_PROMPT", "no_prompt"),
        ({"json": {"prompt": {}, "_priority": 11}}, 400, "INPUT_INVALID", "prompt_outputs_failed_validation"),
        ({"json": {"prompt": {"_priority": "5"}}}, 400, "INPUT_INVALID", "prompt_outputs_failed_validation"),
        ({"data": "[" * 30 + "]" * 30}, 400, "LIMIT_EXCEEDED", "limit_exceeded"),
        ({"data": " " * 1_001}, 413, "LIMIT_EXCEEDED", "limit_exceeded"),
        ({"data": " " * (MAX_UPLOAD + 1)}, 413, "LIMIT_EXCEEDED", "limit_exceeded"),
        (
            {"data": b"hello", "headers": {"Content-Encoding": "gzip", "Connection": "close"}},
            400,
            "INVALID_JSON",
            "invalid_json",
        ),
    ],
    ids=range(9),
)
async def test_what_core_would_choke_on_never_reaches_it(http, server, sent, status, code, kind):
    response = await http.post("/prompt", **sent)
    body = await response.json()
    assert (response.status, response.headers["X-Expeditor-Code"], body["error"]["type"]) == (status, code, kind)
    assert server.core.submissions == []


async def test_a_refused_node_is_marked_where_comfyuis_page_looks(http):
    body = await (await http.post("/prompt", json={"prompt": "refuse"})).json()
    (error,) = body["node_errors"]["3"]["errors"]
    assert (body["node_errors"]["3"]["class_type"], error["type"]) == ("A", "odd")
    assert error["extra_info"]["pointer"] == "/prompt"


@pytest.mark.parametrize(("path", "raw"), [("/queue", "5"), ("/api/queue", "{"), ("/free", "[]")])
async def test_other_stock_bodies_are_checked(http, path, raw):
    response = await http.post(path, data=raw)
    assert response.status == 400
    assert "error" in await response.json()


async def test_a_query_of_history_is_checked(http):
    assert (await http.get("/history/a?max_items=many")).status == 400
    assert (await http.get("/api/history/a?max_items=5")).status == 200


async def test_deleting_answers_after_its_commits_too(http, server):
    server.core.commits = [failed(StoreUnavailable())]
    assert (await http.post("/queue", data=json.dumps({"clear": True}))).status == 503
    server.core.commits = [committed()]
    assert (await http.post("/queue", data=json.dumps({"clear": True}))).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "route"),
    [
        ("GET", "/history/abc", 200, "/history/{prompt_id}"),
        ("GET", "/api/history/abc", 200, "/history/{prompt_id}"),
        ("GET", "/api/v2/jobs/abc", 200, "/api/v2/jobs/{job_id}"),
        ("GET", "/nowhere/at/all", 404, "unmatched"),
        ("DELETE", "/prompt", 405, "unmatched"),
        ("GET", "/forbidden", 403, "/forbidden"),
        ("GET", "/fails", 500, "/fails"),
    ],
)
async def test_every_request_is_told_by_its_route(http, server, method, path, status, route):
    response = await http.request(method, path)
    assert response.status == status
    (seen,) = server.log.seen
    assert (seen["method"], seen["path"], seen["route"], seen["status"]) == (method, path, route, status)


@pytest.mark.parametrize(
    ("sent", "client_id"),
    [
        ({"json": {"client_id": "ada"}, "headers": {"Client-Id": "grace"}, "params": {"clientId": "x"}}, "ada"),
        ({"json": {}, "headers": {"Client-Id": "grace"}, "params": {"clientId": "x"}}, "grace"),
        ({"json": {"client_id": 5}, "params": {"clientId": "x"}}, "x"),
        ({"json": {}}, None),
    ],
    ids=range(4),
)
async def test_the_log_names_the_client_and_the_code(http, server, sent, client_id):
    await http.post("/own", **sent)
    assert (server.log.seen[0]["client_id"], server.log.seen[0]["code"]) == (client_id, "QUEUE_FULL")


@pytest.mark.parametrize("path", ["/", "/view?filename=a.png", "/api/view?filename=a.png"])
async def test_pages_and_files_are_not_told(http, server, path):
    assert (await http.get(path)).status == 200
    assert server.log.seen == []


@pytest.mark.parametrize("label", ["nope", "rot13", "utf-32", "idna"])
@pytest.mark.parametrize("path", ["/prompt", "/queue", "/free"])
async def test_a_label_that_core_could_not_decode_by_is_refused(http, server, path, label):
    headers = {"Content-Type": f"application/json; charset={label}"}
    response = await http.post(path, data=b'{"prompt": {"\xff": 1}}', headers=headers)
    assert (response.status, response.reason) == (400, "INVALID_JSON")
    assert server.core.bodies == []


async def test_a_body_in_another_charset_is_read_by_its_label(http, server):
    text = '{"prompt": {"_priority": 8}, "client_id": "\u00e9"}'
    headers = {"Content-Type": "application/json; charset=utf-16"}
    response = await http.post("/prompt", data=text.encode("utf-16"), headers=headers)
    assert response.status == 200
    assert (server.core.submissions[0].priority, server.core.bodies) == (8, [json.loads(text)])
