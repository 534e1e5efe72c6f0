"""What stands at an instance's address may be something else for a while: a proxy's page, another server. Nothing is given up for that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from expeditor.host.peers import ANSWER_MAX_BYTES, PeerAway
from tests.support.peering import FakeMembers, Side
from tests.support.served import Served


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[tuple[Side, Side]]:
    members = FakeMembers()
    origin, maker = Side("a", tmp_path, members).open(), Side("b", tmp_path, members).open()
    yield origin, maker
    for side in (maker, origin):
        side.stop()
        side.close()


async def _page(_: web.Request) -> web.Response:
    return web.Response(text="<html>Please log in</html>", content_type="text/html")


async def _elsewhere(_: web.Request) -> web.Response:
    raise web.HTTPFound("http://127.0.0.1:9/login")


async def _forbidden(_: web.Request) -> web.Response:
    raise web.HTTPForbidden


async def _nested(_: web.Request) -> web.Response:
    return web.Response(text="[" * 100_000, content_type="application/json")


async def _list(_: web.Request) -> web.Response:
    return web.json_response({"type": 3})


@pytest.mark.parametrize("stranger", [_page, _elsewhere, _forbidden, _nested, _list])
def test_what_is_owed_stays_owed_while_a_stranger_answers(sides, stranger) -> None:
    origin, maker = sides
    url = maker.members.urls.pop("a")
    place = maker.hand_over("a", maker.make("output", "", "x.png", b"x")).outputs[0]
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", stranger)
    with Served(app) as served:
        maker.members.urls["a"] = served.url
        maker.pay()
        assert len(maker.owed.all()) == 1
    maker.members.urls["a"] = url
    maker.pay()
    assert maker.owed.all() == ()
    assert origin.path("output", place.subfolder, "x.png").read_bytes() == b"x"


def test_an_endless_answer_is_not_read_to_its_end(sides) -> None:
    _, maker = sides
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse()
        await answer.prepare(request)
        while sent < 8 * ANSWER_MAX_BYTES:
            await answer.write(b" " * 65_536)
            sent += 65_536
        return answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", endless)
    with Served(app) as served:
        maker.members.urls["a"] = served.url
        with pytest.raises(PeerAway):
            maker.thread.run(maker.peers.ask("a", "/offer", {})).result(30)
    assert sent < 8 * ANSWER_MAX_BYTES
