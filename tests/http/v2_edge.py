"""The small app of `tests.http.edge` with the Comfy API v2 at both its prefixes."""

from __future__ import annotations

from expeditor.intake.tokens import Tokens
from expeditor.routes.guard import token_guard
from expeditor.routes.status import StatusRoutes
from expeditor.routes.v2.errors import REQUEST_ID
from expeditor.routes.v2.table import OWN_PREFIX, PREFIX, V2Handlers, v2_routes
from tests.http.edge import App


class V2App(App):
    """See the module's docstring."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        super().__init__(tokens)
        self.v2 = V2Handlers(StatusRoutes(lambda: self.health, lambda: self.not_ready))
        for prefix in (PREFIX, OWN_PREFIX):
            self.web.router.add_routes(v2_routes(prefix, self.v2, guard=token_guard(self.tokens)))


async def told(response) -> tuple[int, str]:
    """Status and the contract's word, of an answer that has the envelope."""
    body = await response.json()
    assert set(body) == {"error"}
    assert {"code", "message"} <= set(body["error"]) <= {"code", "message", "details"}
    assert body["error"]["message"]
    assert response.headers[REQUEST_ID]
    return response.status, body["error"]["code"]
