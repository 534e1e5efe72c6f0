"""Health and readiness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web


class StatusRoutes:
    """The handlers. ``health`` and ``ready`` do no I/O and answer also when everything else is broken."""

    def __init__(self, health: Callable[[], dict[str, Any]], ready: Callable[[], str | None]) -> None:
        """``health`` gives the facts; ``ready`` gives None, or why the server should get no work now."""
        self._health = health
        self._ready = ready

    async def health(self, _request: web.Request) -> web.Response:
        """``GET /expeditor/health`` → 200 always; ``status`` says ``ok`` or ``degraded``."""
        return web.json_response(self._health())

    async def ready(self, _request: web.Request) -> web.Response:
        """``GET /expeditor/ready`` → 200 ``{ready: true}``, or 503 with the reason."""
        reason = self._ready()
        return web.json_response({"ready": reason is None, "reason": reason}, status=200 if reason is None else 503)
