"""In front of the handlers: a request must show a token where one is required, and never a wrong one.

Owns which routes stay open. Does not own what a token is (``intake.tokens``) nor the answer's form (``errors``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from aiohttp import web

from ..intake.tokens import Tokens
from .errors import Handler

AUTHORIZATION = "Authorization"
OPEN_PATHS = frozenset({"/expeditor/health", "/expeditor/ready", "/expeditor/metrics"})
"""What monitoring asks, which has no token."""

Guard = Callable[[Handler], Handler]


def token_guard(tokens: Tokens) -> Guard:
    """What puts the check in front of a handler; it raises ``Unauthenticated``, so it stands inside the error boundary."""

    def guard(handler: Handler) -> Handler:
        @wraps(handler)
        async def guarded(request: web.Request) -> web.StreamResponse:
            tokens.check(request.headers.get(AUTHORIZATION))
            return await handler(request)

        return guarded

    return guard


def no_guard(handler: Handler) -> Handler:
    """The handler as it is."""
    return handler
