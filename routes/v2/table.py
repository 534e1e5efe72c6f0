"""Every route of the Comfy API v2 contract, in one list, for any prefix.

Owns which paths there are and what answers where there is none. The first rows of an equal path win.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from ...intake.v2.refusals import METHOD_NOT_ALLOWED
from ...jobs.errors import NotFound
from ..errors import Handler
from ..guard import Guard, no_guard
from ..status import StatusRoutes
from .assets import V2AssetRoutes
from .errors import envelope, v2_boundary
from .events import V2EventRoutes
from .jobs import V2JobRoutes

PREFIX = "/api/v2"
"""Where clients of the contract look."""
OWN_PREFIX = "/expeditor/api/v2"
"""Where it is also when somebody else serves the contract at ``PREFIX``."""
OPEN_PATHS = frozenset({"/health"})
"""What monitoring asks, which has no token."""
Row = tuple[str, str, Handler]


@dataclass(frozen=True, slots=True)
class V2Handlers:
    """The sets of handlers that the table is made of."""

    status: StatusRoutes
    jobs: V2JobRoutes
    events: V2EventRoutes
    assets: V2AssetRoutes


def v2_routes(prefix: str, handlers: V2Handlers, *, guard: Guard = no_guard) -> tuple[web.RouteDef, ...]:
    """Method, path and handler of every route under ``prefix``, each behind the contract's boundary and, but for health, ``guard``;
    whatever else is asked for under it has the contract's envelope too."""
    rows = [
        (method, path, handler if path in OPEN_PATHS else guard(handler)) for method, path, handler in _rows(handlers)
    ]
    fallback = v2_boundary(_Fallback(prefix, rows).answer)
    return (
        *(web.route(method, prefix + path, v2_boundary(handler)) for method, path, handler in rows),
        web.route("*", prefix + "{tail:(/.*)?}", fallback),
    )


def _rows(handlers: V2Handlers) -> tuple[Row, ...]:
    jobs, assets = handlers.jobs, handlers.assets
    return (
        ("GET", "/health", handlers.status.health),
        ("POST", "/jobs", jobs.submit),
        ("GET", "/jobs", jobs.list),
        ("GET", "/jobs/{job_id}", jobs.get),
        ("GET", "/jobs/{job_id}/workflow", jobs.workflow),
        ("GET", "/jobs/{job_id}/events", handlers.events.events),
        ("POST", "/jobs/{job_id}/cancel", jobs.cancel),
        ("POST", "/assets", assets.upload),
        ("POST", "/assets/from-hash", assets.from_hash),
        ("HEAD", "/assets/by-hash/{hash}", assets.known),
        ("GET", "/assets/{asset_id}", assets.get),
        ("DELETE", "/assets/{asset_id}", assets.delete),
        ("GET", "/assets/{asset_id}/content", assets.content),
    )


class _Fallback:
    """What nobody serves: 405 with ``Allow`` where another method would do, else 404."""

    def __init__(self, prefix: str, rows: Sequence[Row]) -> None:
        self._prefix = prefix
        self._known = [(method, re.compile(re.sub(r"\{\w+\}", "[^/]+", path))) for method, path, _ in rows]

    async def answer(self, request: web.Request) -> web.Response:
        """Any method, any path under the prefix."""
        path = request.path.partition(self._prefix)[2]
        allowed = sorted({method for method, known in self._known if known.fullmatch(path)})
        if not allowed:
            raise NotFound(f"There is nothing at {request.path[:200]}.")
        text = f"{request.path[:200]} does not take {request.method[:20]}."
        return envelope(405, METHOD_NOT_ALLOWED, text, headers={"Allow": ", ".join(allowed)})
