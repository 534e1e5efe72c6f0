"""The address that answers name: the one that the client used, also behind a proxy that ends TLS."""

from __future__ import annotations

import pytest
from aiohttp import web

from expeditor.routes.asking import PUBLIC_URL, origin_of


async def _told(request: web.Request) -> web.Response:
    return web.json_response(origin_of(request))


@pytest.mark.parametrize(
    ("public", "host", "told"),
    [
        (None, "comfy.example.com", "http://comfy.example.com"),
        ("https://comfy.example.com", "Comfy.example.com", "https://comfy.example.com"),
        ("https://comfy.example.com/art", "comfy.example.com", "https://comfy.example.com/art"),
        ("https://comfy.example.com:8443", "comfy.example.com:8443", "https://comfy.example.com:8443"),
        ("https://comfy.example.com", "127.0.0.1:8188", "http://127.0.0.1:8188"),
        ("https://comfy.example.com", "comfy.example.com.evil.example", "http://comfy.example.com.evil.example"),
    ],
)
async def test_a_public_host_stands_for_the_public_address(aiohttp_client, public, host, told):
    app = web.Application()
    app.router.add_get("/", _told)
    if public is not None:
        app[PUBLIC_URL] = public
    http = await aiohttp_client(app)
    assert await (await http.get("/", headers={"Host": host})).json() == told
