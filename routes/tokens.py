"""``/expeditor/tokens``: which tokens there are, for an admin. Never their secrets or hashes."""

from __future__ import annotations

from aiohttp import web

from ..intake.tokens import Token, Tokens
from ..jobs.model import JsonObject
from .guard import AUTHORIZATION


class TokenRoutes:
    """The handler; errors are raised and rendered by the boundary."""

    def __init__(self, tokens: Tokens) -> None:
        """Tell of ``tokens``."""
        self._tokens = tokens

    async def list(self, request: web.Request) -> web.Response:
        """``GET /expeditor/tokens`` → ``{"tokens": [{name, priority, max_priority, admin, webhook}]}``."""
        listed = self._tokens.listed(request.headers.get(AUTHORIZATION))
        return web.json_response({"tokens": [_token_json(token) for token in listed]})


def _token_json(token: Token) -> JsonObject:
    return {
        "name": token.name,
        "priority": token.priority,
        "max_priority": token.max_priority,
        "admin": token.admin,
        "webhook": token.webhook is not None,
    }
