"""The client's connections: what is tried again and what is not, and who is told the token."""

from __future__ import annotations

import pytest
from aiohttp import web

from expeditor.client.faults import Busy, Refused, Unreachable
from expeditor.client.transport import Ask, Transport
from tests.support.comfy_server import free_port
from tests.support.served import Served


class FakeServer:
    """Answers with the statuses it is given, then 200; notes what it was sent."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.seen: list[web.Request] = []
        self.elsewhere = ""
        self.app = web.Application()
        self.app.router.add_get("/away", self.away)
        self.app.router.add_route("*", "/{tail:.*}", self.answer)

    async def away(self, request: web.Request) -> web.Response:
        raise web.HTTPFound(self.elsewhere)

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append(request)
        status = self.statuses.pop(0) if self.statuses else 200
        headers = {"Retry-After": "7"} if status in {429, 503} else {}
        return web.json_response({"told": True}, status=status, headers=headers)

    def tokens(self) -> list[str | None]:
        return [request.headers.get("Authorization") for request in self.seen]


@pytest.fixture
def server():
    return FakeServer()


@pytest.fixture
def url(server):
    with Served(server.app) as here:
        yield here.url


@pytest.fixture
def slept():
    return []


@pytest.fixture
def transport(url, slept):
    made = Transport(url, token="secret", sleep=slept.append, stretch=lambda: 1.0)
    yield made
    made.close()


def test_refusals_that_name_a_time_are_waited_out(server, transport, slept):
    server.statuses = [429, 503, 429]
    assert transport.ask(Ask("POST", "/x", json={})).json() == {"told": True}
    assert slept == [7.0, 7.0, 7.0]


def test_a_proxys_faults_are_waited_out_ever_longer(server, transport, slept):
    server.statuses = [502, 504, 502, 504]
    transport.ask(Ask("GET", "/x"))
    assert slept == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 422, 500])
def test_no_other_refusal_is_sent_twice(server, transport, slept, status):
    server.statuses = [status]
    with pytest.raises(Refused) as refused:
        transport.ask(Ask("POST", "/x", json={}))
    assert (refused.value.status, len(server.seen), slept) == (status, 1, [])


def test_what_could_do_harm_twice_is_sent_once_when_it_may_have_arrived(server, transport):
    server.statuses = [502]
    with pytest.raises(Refused):
        transport.ask(Ask("POST", "/x", json={}, safe=False))
    assert len(server.seen) == 1


def test_patience_ends(server, url, slept):
    server.statuses = [429] * 100
    impatient = Transport(url, busy_patience_s=1.0, sleep=slept.append)
    with pytest.raises(Busy):
        impatient.ask(Ask("GET", "/x"))
    assert slept == [], "it would have had to wait longer than it was willing to"
    impatient.close()


def test_nobody_there_is_unreachable():
    nowhere = Transport(f"http://127.0.0.1:{free_port()}", patience_s=0.0)
    with pytest.raises(Unreachable):
        nowhere.ask(Ask("GET", "/x"))
    nowhere.close()


def test_the_token_goes_to_the_server_alone(server, transport, tmp_path):
    other = FakeServer()
    with Served(other.app) as there:
        transport.fetch("/own", tmp_path / "a")
        transport.fetch(f"{there.url}/foreign", tmp_path / "b")
        server.elsewhere = f"{there.url}/behind-a-redirect"
        transport.fetch("/away", tmp_path / "c")
    assert server.tokens() == ["Bearer secret"]
    assert other.tokens() == [None, None]
    assert (tmp_path / "c").read_text("utf-8") == '{"told": true}'


def test_a_file_is_saved_whole_or_not_at_all(server, transport, tmp_path):
    server.statuses = [404]
    with pytest.raises(Refused):
        transport.fetch("/gone", tmp_path / "new" / "a.png")
    assert list((tmp_path / "new").iterdir()) == []
