"""Errors on the wire: one status for every code, the envelope, core's shape, and nothing inside told by a 500."""

from __future__ import annotations

import logging

import pytest
from aiohttp import web

from expeditor.jobs import errors
from expeditor.jobs.errors import Busy, ExpeditorError, Fault, LimitExceeded, NotFound, UnknownNode
from expeditor.routes.errors import STATUS_BY_CODE, boundary, render_core_error, render_error, status_of

EVERY = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ExpeditorError)
]  # fmt: skip


@pytest.fixture
async def http(aiohttp_client):
    """An app whose one route raises what the test put into `raises`."""
    raises: list[BaseException] = []

    async def handler(request):
        raise raises[0]

    app = web.Application()
    app.router.add_get("/x", boundary(handler))
    client = await aiohttp_client(app)
    client.raises = raises
    return client


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
async def test_every_error_has_its_status_and_says_its_code_three_times(http, kind):
    http.raises.append(kind())
    response = await http.get("/x")
    body = (await response.json())["error"]
    assert response.status == STATUS_BY_CODE[kind.code]
    assert (body["code"], response.reason, response.headers["X-Expeditor-Code"]) == (kind.code,) * 3
    assert body["message"]
    assert (body["details"], body["errors"]) == ({}, [])
    assert (response.headers.get("Retry-After") is not None) == issubclass(kind, Busy)


def test_the_table_has_no_code_that_nothing_raises():
    assert set(STATUS_BY_CODE) == {kind.code for kind in EVERY}


def test_too_large_is_413_and_other_limits_422():
    assert status_of(LimitExceeded(too_large=True)) == 413
    assert status_of(LimitExceeded()) == 422


async def test_faults_and_details_are_told(http):
    fault = Fault("/prompt/3", "UNKNOWN_NODE", "No such class.", hint="Did you mean KSampler?", node_id="3")
    http.raises.append(UnknownNode("One is unknown.", details={"faults": 1}, faults=(fault,)))
    assert (await (await http.get("/x")).json())["error"] == {
        "code": "UNKNOWN_NODE",
        "message": "One is unknown.",
        "details": {"faults": 1},
        "errors": [
            {
                "pointer": "/prompt/3",
                "code": "UNKNOWN_NODE",
                "message": "No such class.",
                "hint": "Did you mean KSampler?",
            }
        ],
    }


async def test_an_unknown_exception_is_an_id_and_nothing_else(http, caplog):
    http.raises.append(RuntimeError("password=hunter2"))
    with caplog.at_level(logging.ERROR, "expeditor.routes"):
        response = await http.get("/x")
    text = await response.text()
    body = (await response.json())["error"]
    assert (response.status, body["code"]) == (500, "INTERNAL")
    assert "hunter2" not in text
    assert "Traceback" not in text
    (record,) = caplog.records
    assert body["details"]["id"] in record.getMessage()
    assert "hunter2" in caplog.text


async def test_aiohttps_own_answers_pass(http):
    http.raises.append(web.HTTPForbidden())
    assert (await http.get("/x")).status == 403


@pytest.mark.parametrize("render", [render_error, render_core_error])
def test_what_no_utf8_can_hold_can_still_be_answered(render):
    fault = Fault("/\ud800", "NOT_FOUND", "\ud800", node_id="\ud800", extra={"received": {1, 2}})
    response = render(NotFound("no \ud800", details={"job_id": "\ud800"}, faults=(fault,)))
    assert response.body is not None


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_cores_shape_is_what_its_page_reads(kind):
    fault = Fault("/prompt/3", kind.code, "Wrong.", node_id="3", class_type="A")
    response = render_core_error(kind(faults=(fault,)))
    status = STATUS_BY_CODE[kind.code]
    assert response.status == (400 if status == 422 else status)
    assert response.reason == kind.code
