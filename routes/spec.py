"""``GET /expeditor/openapi.json``: what this API is, for programs."""

from __future__ import annotations

import json

from aiohttp import web

from .openapi.document import document


class SpecRoutes:
    """The handler; errors are raised and rendered by the boundary."""

    def __init__(self, version: str) -> None:
        """``version`` is the pack's."""
        self._version = version
        self._text: str | None = None

    async def openapi(self, _request: web.Request) -> web.Response:
        """The OpenAPI 3.1 document. Written when it is asked for the first time: the pack's import must stay quick."""
        if self._text is None:
            self._text = json.dumps(document(self._version), ensure_ascii=False)
        return web.json_response(text=self._text)
