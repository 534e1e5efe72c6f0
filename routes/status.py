"""Queue, health and readiness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from ..intake.service import JobService
from .render import queue_json


class StatusRoutes:
    """The handlers. ``health`` and ``ready`` do no I/O and answer also when everything else is broken."""

    def __init__(
        self, service: JobService, health: Callable[[], dict[str, Any]], ready: Callable[[], str | None]
    ) -> None:
        """``health`` gives the facts; ``ready`` gives None, or why the server should get no work now."""
        self._service = service
        self._health = health
        self._ready = ready

    async def queue(self, _request: web.Request) -> web.Response:
        """``GET /expeditor/queue`` → depth by priority and principal, eta, drain rate."""
        return web.json_response(queue_json(await self._service.queue()))

    async def health(self, _request: web.Request) -> web.Response:
        """``GET /expeditor/health`` → 200 always; ``status`` says ``ok`` or ``degraded``."""
        return web.json_response(self._health())

    async def ready(self, _request: web.Request) -> web.Response:
        """``GET /expeditor/ready`` → 200 ``{ready: true}``, or 503 with the reason."""
        reason = self._ready()
        return web.json_response({"ready": reason is None, "reason": reason}, status=200 if reason is None else 503)
