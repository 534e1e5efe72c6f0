"""The contract's assets: parse, one call of ``intake.assets``, render."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from aiohttp import web

from ...intake.asset_uploads import described
from ...intake.asset_views import AssetView
from ...intake.assets import AssetService
from ...intake.judges import Caller
from ...intake.v2.refusals import INVALID_REQUEST, ContractRefusal
from ...jobs.assets import is_hash
from ...jobs.model import Principal
from ...jobs.times import rfc3339
from ..asking import caller_of
from ..fields import read_object
from .content import sent
from .jobs import place_of
from .render import Place
from .uploads import read_upload

URL_LIFE_S = 86_400.0
"""How long an address is said to be good; it is as long as the asset is."""
TEXTS = ("file_path", "content_type")
MOST_BODY_BYTES = 65_536


class V2AssetRoutes:
    """The handlers; errors are raised and rendered by the boundary."""

    def __init__(
        self,
        service: AssetService,
        principal: Callable[[Caller], Principal],
        *,
        max_bytes: int,
        idle_s: float,
        user_header: str | None,
        clock: Callable[[], float],
    ) -> None:
        """``principal`` says who a caller is; ``max_bytes`` bounds an upload, ``idle_s`` the wait for more of it."""
        self._service = service
        self._principal = principal
        self._max_bytes = max_bytes
        self._idle_s = idle_s
        self._user_header = user_header
        self._clock = clock

    async def upload(self, request: web.Request) -> web.Response:
        """``POST /assets`` → 201 asset; 200 when its bytes were here already."""
        caller = self._caller(request)
        async with self._service.receiving(self._principal(caller), caller.key) as upload:
            about = await read_upload(request, upload, max_bytes=self._max_bytes, idle_s=self._idle_s)
            view = await self._service.store(upload, about, self._principal(caller))
        return self._asset(request, view, status=201 if view.created_new else 200)

    async def from_hash(self, request: web.Request) -> web.Response:
        """``POST /assets/from-hash`` → 201 asset; 200 for one that there was."""
        principal = self._principal(self._caller(request))
        body = await read_object(request, max_bytes=MOST_BODY_BYTES)
        digest, texts, tags = _asked(body)
        view, made = await self._service.from_hash(digest, described(texts, tags, named=False), principal)
        return self._asset(request, view, status=201 if made else 200)

    async def known(self, request: web.Request) -> web.Response:
        """``HEAD /assets/by-hash/{hash}`` → 200, or 404."""
        there = await self._service.has(request.match_info["hash"], self._principal(self._caller(request)))
        return web.Response(status=200 if there else 404)

    async def get(self, request: web.Request) -> web.Response:
        """``GET /assets/{id}`` → the asset."""
        return self._asset(request, await self._service.get(request.match_info["asset_id"]))

    async def content(self, request: web.Request) -> web.StreamResponse:
        """``GET /assets/{id}/content`` → the bytes; ``HEAD`` too."""
        return sent(request, await self._service.content(request.match_info["asset_id"]))

    async def delete(self, request: web.Request) -> web.Response:
        """``DELETE /assets/{id}`` → 204."""
        await self._service.delete(request.match_info["asset_id"], self._principal(self._caller(request)))
        return web.Response(status=204)

    def _asset(self, request: web.Request, view: AssetView, status: int = 200) -> web.Response:
        return web.json_response(asset_json(view, place_of(request), self._clock()), status=status)

    def _caller(self, request: web.Request) -> Caller:
        return caller_of(request, self._user_header, spaces=True)


def asset_json(view: AssetView, place: Place, now_s: float) -> dict[str, Any]:
    """One asset with every field of the contract. Pure."""
    body: dict[str, Any] = {
        "id": view.id,
        "hash": view.hash,
        "size_bytes": view.size_bytes,
        "content_type": view.content_type,
        "file_path": view.file_path,
        "created_at": rfc3339(view.created_at_s),
        "url": f"{place.origin}{place.prefix}/assets/{view.id}/content",
        "url_expires_at": rfc3339(min(now_s + URL_LIFE_S, view.expires_at_s or now_s + URL_LIFE_S)),
        "expires_at": None if view.expires_at_s is None else rfc3339(view.expires_at_s),
    }
    if view.job_id is not None:
        body["job_id"] = view.job_id
    if view.created_new is not None:
        body["created_new"] = view.created_new
    return body


def _asked(body: dict[str, Any]) -> tuple[str, dict[str, str], list[str]]:
    """The hash, the texts and the tags of a body."""
    digest: Any = body.get("hash")
    given_tags: Any = body.get("tags") or []
    if not is_hash(digest):
        raise ContractRefusal(INVALID_REQUEST, "hash must be blake3:<64 hexadecimal digits>.")
    texts = {name: value for name in TEXTS if (value := body.get(name)) is not None}
    tags = cast("list[Any]", given_tags) if isinstance(given_tags, list) else [None]
    if not all(isinstance(text, str) for text in (*texts.values(), *tags)):
        raise ContractRefusal(INVALID_REQUEST, "file_path, content_type and each of tags must be text.")
    life = body.get("expires_in")
    if life is not None:
        texts["expires_in"] = str(life) if isinstance(life, int) and not isinstance(life, bool) else "no number"
    return str(digest), texts, [str(tag) for tag in tags]
