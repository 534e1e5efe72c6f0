"""Under the prefixes of the Comfy API v2 every answer has the contract's envelope and an id, whatever is asked for."""

from __future__ import annotations

import logging

import pytest
from aiohttp import web

from expeditor.host.board import HookBoard
from expeditor.intake.v2.refusals import WORDS, ContractRefusal
from expeditor.jobs import errors
from expeditor.jobs.errors import Busy, ExpeditorError, Fault, LimitExceeded, StoreUnavailable, UnknownNode
from expeditor.routes.guard import no_guard
from expeditor.routes.v2.errors import REQUEST_ID, STATUS_BY_WORD, WORD_BY_CODE, v2_boundary
from expeditor.runtime.contract import Mount
from tests.http.v2_edge import V2App, told

EVERY = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ExpeditorError)
]  # fmt: skip
PREFIXES = ("/api/v2", "/expeditor/api/v2")


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_health_answers_with_a_request_id(v2, prefix):
    first, second = await v2.get(f"{prefix}/health"), await v2.get(f"{prefix}/health")
    assert first.status == 200
    assert (await first.json())["status"] == "ok"
    assert first.headers[REQUEST_ID] != second.headers[REQUEST_ID]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("path", ["", "/", "/nothing", "/health/more", "/jobs/a/b/c/d", "/jobs/", "/%ff", "/j\u00f6bs"])
async def test_unknown_paths_have_the_envelope(v2, prefix, path):
    assert await told(await v2.get(prefix + path)) == (404, "not_found")


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH", "MOVE"])
async def test_wrong_methods_have_the_envelope_and_say_which_are_right(v2, prefix, method):
    response = await v2.request(method, f"{prefix}/health")
    assert await told(response) == (405, "method_not_allowed")
    assert response.headers["Allow"] == "GET"


async def test_a_path_beside_the_prefix_is_not_ours(v2):
    assert REQUEST_ID not in (await v2.get("/api/v22/health")).headers


@pytest.fixture
async def failing(aiohttp_client):
    """An app whose one route raises what the test put into `raises`."""
    raises: list[BaseException] = []

    async def handler(request):
        raise raises[0]

    app = web.Application()
    app.router.add_get("/x", v2_boundary(handler))
    client = await aiohttp_client(app)
    client.raises = raises
    return client


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
async def test_every_error_of_ours_has_a_word(failing, kind):
    failing.raises.append(kind())
    response = await failing.get("/x")
    status, word = await told(response)
    assert (word, status) == (WORD_BY_CODE[kind.code], 400 if kind.code == "INVALID_JSON" else STATUS_BY_WORD[word])
    assert status != 503, "the SDKs give up on a 503 and try a 429 again"
    assert ("Retry-After" in response.headers) == issubclass(kind, Busy)
    assert ("WWW-Authenticate" in response.headers) == (status == 401)


@pytest.mark.parametrize("word", sorted(WORDS))
async def test_every_refusal_of_the_contract_has_a_status(failing, word):
    failing.raises.append(ContractRefusal(word, "No."))
    assert await told(await failing.get("/x")) == (STATUS_BY_WORD[word], word)


async def test_retry_after_is_whole_seconds_and_never_none(failing):
    failing.raises.append(StoreUnavailable(retry_after_s=0))
    assert (await failing.get("/x")).headers["Retry-After"] == "1"


async def test_too_large_is_413(failing):
    failing.raises.append(LimitExceeded(too_large=True))
    assert await told(await failing.get("/x")) == (413, "payload_too_large")
    failing.raises[:] = [web.HTTPRequestEntityTooLarge(max_size=1, actual_size=2)]
    assert await told(await failing.get("/x")) == (413, "payload_too_large")


async def test_faults_stand_at_their_nodes_and_beside_them(failing):
    at_node = Fault("/workflow/3", "UNKNOWN_NODE", "No such class.", node_id="3", class_type="X")
    loose = Fault("/workflow", "NO_OUTPUT", "Nothing to run.")
    failing.raises.append(UnknownNode("No such class.", faults=(at_node, loose)))
    details = (await (await failing.get("/x")).json())["error"]["details"]
    assert [one["message"] for one in details["node_errors"]["3"]["errors"]] == ["No such class."]
    assert [one["pointer"] for one in details["errors"]] == ["/workflow"]


async def test_a_bug_is_a_500_with_an_id_that_the_log_has(failing, caplog):
    failing.raises.append(RuntimeError("secret inside"))
    with caplog.at_level(logging.ERROR, logger="expeditor.routes"):
        response = await failing.get("/x")
    assert await told(response) == (500, "upstream_error")
    assert "secret" not in await response.text()
    (record,) = caplog.records
    assert response.headers[REQUEST_ID] in record.getMessage()


class TestMount:
    @staticmethod
    def mount(v2_edge: V2App, *, wanted: bool = True) -> tuple[Mount, HookBoard]:
        board = HookBoard()
        return Mount(board, v2_edge.v2, no_guard, wanted=wanted), board

    async def test_it_takes_the_path_that_is_free(self, v2_edge):
        mount, board = self.mount(v2_edge)
        app = web.Application()
        await mount.start(app)
        assert board.states() == {"api_v2": "on"}
        assert {resource.canonical for resource in app.router.resources()} >= {"/api/v2/health"}

    async def test_it_leaves_the_path_to_whoever_has_it(self, v2_edge, caplog):
        mount, board = self.mount(v2_edge)
        app = web.Application()
        app.router.add_get("/api/v2/jobs", v2_edge.v2.status.health)
        with caplog.at_level(logging.WARNING, logger="expeditor.host"):
            await mount.start(app)
        assert "/expeditor/api/v2" in board.states()["api_v2"]
        assert len(caplog.records) == 1
        assert len(list(app.router.resources())) == 1

    async def test_it_can_be_switched_off(self, v2_edge):
        mount, board = self.mount(v2_edge, wanted=False)
        app = web.Application()
        await mount.start(app)
        assert board.states() == {"api_v2": "off"}
        assert not list(app.router.resources())

    async def test_a_router_that_does_not_fit_stops_nothing(self, v2_edge):
        mount, board = self.mount(v2_edge)
        app = web.Application()
        app.freeze()
        await mount.start(app)
        assert "could not be mounted" in board.states()["api_v2"]
