"""The part of ``services`` behind the Comfy API v2: makes its handlers and decides where they are mounted.

Owns the standing aside: if ComfyUI or another pack serves ``/api/v2/jobs`` itself, that path stays theirs, and ours is
``/expeditor/api/v2`` alone.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ..host.board import OFF, ON, HookBoard
from ..host.comfy import cors_headers
from ..routes.guard import Guard
from ..routes.status import StatusRoutes
from ..routes.v2.assets import V2AssetRoutes
from ..routes.v2.events import V2EventRoutes
from ..routes.v2.jobs import V2JobRoutes
from ..routes.v2.table import OWN_PREFIX, PREFIX, V2Handlers, v2_routes
from .services import Services

HOOK = "api_v2"
JOBS = f"{PREFIX}/jobs"
ASIDE = f"{JOBS} is served by ComfyUI or another pack already; ours is at {OWN_PREFIX} alone"


def contract_handlers(services: Services, status: StatusRoutes) -> V2Handlers:
    """Make the handlers and what is behind them. No I/O."""
    settings, entrance = services.settings, services.entrance
    jobs = V2JobRoutes(entrance.contract, max_bytes=settings.max_body_bytes, user_header=settings.trusted_user_header)
    events = V2EventRoutes(
        entrance.streams, entrance.contract, heartbeat_s=settings.stream_heartbeat_s, headers=cors_headers()
    )
    assets = V2AssetRoutes(
        entrance.shelf.service,
        lambda caller: entrance.jobs.principal(caller, None),
        max_bytes=settings.asset_max_bytes,
        idle_s=settings.asset_idle_s,
        user_header=settings.trusted_user_header,
        clock=entrance.shelf.service.now_s,
    )
    return V2Handlers(status, jobs, events, assets)


def register_own(server: Any, handlers: V2Handlers, guard: Guard) -> None:
    """While packs are loaded: under ``/expeditor``, and by ComfyUI's doubling under ``/api/expeditor``."""
    for route in v2_routes(OWN_PREFIX, handlers, guard=guard):
        server.routes.route(route.method, route.path)(route.handler)


class Mount:
    """The mounting at the contract's own path, once all others have registered theirs."""

    def __init__(self, board: HookBoard, handlers: V2Handlers, guard: Guard, *, wanted: bool) -> None:
        """``wanted``: the setting; ``guard`` asks for tokens."""
        self._board = board
        self._handlers = handlers
        self._guard = guard
        self._wanted = wanted

    async def start(self, app: web.Application) -> None:
        """For ``app.on_startup``: an exception here would stop ComfyUI, so whatever goes wrong is a hook that stands aside."""
        try:
            self._board.set(HOOK, self._mount(app))
        except Exception as error:  # noqa: BLE001 - ComfyUI must start also when a route of ours does not fit it
            self._board.set(HOOK, f"{PREFIX} could not be mounted: {error}")

    def _mount(self, app: web.Application) -> str:
        if not self._wanted:
            return OFF
        if any(getattr(route.resource, "canonical", "") == JOBS for route in app.router.routes()):
            return ASIDE
        app.router.add_routes(v2_routes(PREFIX, self._handlers, guard=self._guard))
        return ON
