"""Who asks, and by which address: what handlers read of a request besides its body and query."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

from ..intake.judges import Caller
from ..intake.request_keys import header_key
from .guard import AUTHORIZATION
from .render import Address


def caller_of(request: web.Request, user_header: str | None, *, spaces: bool = False) -> Caller:
    """Who asks; ``user_header`` is the header that a trusted proxy sets, if any; ``spaces``: a key may hold some. Raises
    ``InputInvalid`` for a bad key."""
    user = request.headers.get(user_header) if user_header else None
    shown = request.headers.get(AUTHORIZATION)
    return Caller(remote=request.remote, user=user, key=header_key(request.headers, spaces=spaces), authorization=shown)


PUBLIC_URL: web.AppKey[str] = web.AppKey("expeditor_public_url", str)
"""Of the app: the address under which clients reach the server through a proxy, if there is one."""


HERE: web.AppKey[str] = web.AppKey("expeditor_here", str)
"""Of the app: the instance's name, where several share the queue."""
ONE_FOLDER: web.AppKey[bool] = web.AppKey("expeditor_one_folder", bool)
"""Of the app: whether these have one output folder."""


def address_of(request: web.Request) -> Address:
    """How the client reached this instance."""
    return Address(origin_of(request), request.app.get(HERE), request.app.get(ONE_FOLDER, False))


def origin_of(request: web.Request) -> str:
    """Scheme and host that the client used. A proxy that ends TLS keeps the host and not the scheme, so a host that is the public
    one stands for the public address. A Host header may be anything: without a sound one it is empty, so that URLs are relative,
    which any client resolves by itself."""
    public = request.app.get(PUBLIC_URL)
    if public is not None and urlsplit(public).netloc.lower() == request.host.lower():
        return public
    try:
        return str(request.url.origin())
    except ValueError:
        return ""
