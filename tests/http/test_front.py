"""deploy/compose/nginx.conf in a real nginx: a client's socket and its requests meet, an instance that is away is gone around, and
nothing is held back. The instances are two small apps that say who they are; they stand for ComfyUIs.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
import websocket
from aiohttp import WSMsgType, web

from tests.support.comfy_server import ROOT, free_port
from tests.support.served import Served
from tests.support.waiting import wait_until

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CONF = ROOT / "deploy/compose/nginx.conf"
COOKIE = "expeditor_front"
BROWSERS = 12

pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx: install the Debian package")


def fake_instance(name: str) -> web.Application:
    """Says its name on every path; `/ws` says it on a socket, `/stream` a line and the next one only after another request."""
    go_on = web.AppKey("go_on", asyncio.Event)
    app = web.Application(client_max_size=0)
    app[go_on] = asyncio.Event()

    async def say(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        return web.json_response({"name": name, "host": request.host, "bytes": len(body)})

    async def socket(request: web.Request) -> web.StreamResponse:
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        await answer.send_str(name)
        async for message in answer:
            if message.type is WSMsgType.TEXT:
                await answer.send_str(f"{name} {message.data}")
        return answer

    async def stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"first\n")
        await request.app[go_on].wait()
        await answer.write(b"second\n")
        return answer

    async def release(request: web.Request) -> web.Response:
        request.app[go_on].set()
        return web.Response()

    app.router.add_get("/ws", socket)
    app.router.add_get("/stream", stream)
    app.router.add_post("/release", release)
    app.router.add_route("*", "/{rest:.*}", say)
    return app


class Front:
    """nginx with the file of deploy/compose, its hosts and its port replaced."""

    def __init__(self, folder: Path, instances: list[Served]) -> None:
        self.port, self.instances = free_port(), instances
        text = CONF.read_text(encoding="utf-8")
        for number, each in enumerate(instances, 1):
            text, found = re.subn(rf"\bgpu{number}:8188\b", f"127.0.0.1:{each.port}", text)
            assert found == 1
        text, found = re.subn(r"listen 8188;", f"listen 127.0.0.1:{self.port};", text)
        assert found == 1
        own = f"pid {folder}/nginx.pid;\ndaemon off;\nerror_log {folder}/error.log;\n"
        paths = "".join(
            f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        text = own + text.replace("http {", f"http {{\n{paths}access_log off;\n", 1)
        (folder / "nginx.conf").write_text(text, encoding="utf-8")
        assert NGINX is not None
        self.process = subprocess.Popen(
            [NGINX, "-e", f"{folder}/error.log", "-p", str(folder), "-c", f"{folder}/nginx.conf"]
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        assert self.process.poll() is None, "nginx ended"
        try:
            return requests.get(self.url, timeout=5).ok
        except requests.RequestException:
            return False


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    with ExitStack() as opened:
        instances = [opened.enter_context(Served(fake_instance(name))) for name in ("gpu1", "gpu2")]
        made = Front(tmp_path, instances)
        try:
            wait_until(made.answers, what="nginx")
            yield made
        finally:
            made.process.terminate()
            made.process.wait(10)


def who(front: Front, path: str = "/prompt", session: requests.Session | None = None) -> str:
    return (session or requests).post(front.url + path, data=b"{}", timeout=10).json()["name"]


def who_on_socket(front: Front, cookie: str | None = None) -> str:
    line = websocket.create_connection(f"ws://127.0.0.1:{front.port}/ws?clientId=x", timeout=10, cookie=cookie)
    try:
        name = str(line.recv())
        line.send("hello")
        assert line.recv() == f"{name} hello"
        return name
    finally:
        line.close()


def test_a_browser_keeps_its_instance_and_browsers_are_spread(front: Front) -> None:
    met = set()
    for _ in range(BROWSERS):
        with requests.Session() as browser:
            browser.get(front.url + "/", timeout=10)
            cookie = f"{COOKIE}={browser.cookies[COOKIE]}"
            names = {who(front, path, browser) for path in ("/prompt", "/api/queue", "/expeditor/submit")}
            assert names == {who_on_socket(front, cookie)}
            met |= names
    assert met == {"gpu1", "gpu2"}


def test_a_program_keeps_its_instance_by_its_address_whether_it_keeps_cookies_or_not(front: Front) -> None:
    with requests.Session() as program:
        names = {
            who(front),
            who(front, "/expeditor/submit", program),
            who(front, "/prompt", program),
            who_on_socket(front),
        }
        assert not program.cookies
    assert len(names) == 1


def test_an_instance_that_is_away_is_gone_around(front: Front) -> None:
    mine = who(front)
    kept = front.instances[["gpu1", "gpu2"].index(mine)]
    kept._do(kept._close())
    assert {who(front) for _ in range(5)} == {"gpu1", "gpu2"} - {mine}
    assert who_on_socket(front) != mine


def test_the_host_that_was_asked_for_reaches_comfyui_which_compares_it(front: Front) -> None:
    assert requests.get(front.url + "/x", timeout=10).json()["host"] == f"127.0.0.1:{front.port}"


def test_a_stream_is_passed_on_line_by_line(front: Front) -> None:
    with requests.get(front.url + "/stream", stream=True, timeout=10) as answer:
        lines = answer.iter_lines(chunk_size=1)
        assert next(lines) == b"first"
        requests.post(front.url + "/release", timeout=10)
        assert next(lines) == b"second"


def test_a_large_upload_is_not_refused(front: Front) -> None:
    size = 8 * 1024 * 1024
    assert requests.post(front.url + "/upload", data=b"x" * size, timeout=30).json()["bytes"] == size


@pytest.mark.parametrize("path", ["/expeditor/peer/files", "/api/expeditor/peer/offer"])
def test_what_members_say_to_each_other_is_not_for_the_outside(front: Front, path: str) -> None:
    assert requests.post(front.url + path, timeout=10).status_code == 404
