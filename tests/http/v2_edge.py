"""The small app of `tests.http.edge` with the Comfy API v2 at both its prefixes."""

from __future__ import annotations

import itertools
from pathlib import Path

from expeditor.intake.idempotency import Repeats
from expeditor.intake.tokens import Tokens
from expeditor.intake.v2.holding import HeldPolls
from expeditor.intake.v2.service import ContractJobs, ContractParts
from expeditor.jobs.model import JobStatus
from expeditor.routes.guard import token_guard
from expeditor.routes.status import StatusRoutes
from expeditor.routes.v2.assets import V2AssetRoutes
from expeditor.routes.v2.errors import REQUEST_ID
from expeditor.routes.v2.events import V2EventRoutes
from expeditor.routes.v2.jobs import V2JobRoutes
from expeditor.routes.v2.table import OWN_PREFIX, PREFIX, V2Handlers, v2_routes
from tests.http.asset_shelf import ASSET_BYTES, AssetShelf
from tests.http.edge import HEARTBEAT_S, MAX_BYTES, App

HELD_S = 30.0
IDLE_S = 0.5
KEPT_S = 1000.0


class V2App(App):
    """See the module's docstring."""

    def __init__(self, folder: Path, tokens: Tokens | None = None) -> None:
        super().__init__(tokens)
        self.shelf = AssetShelf(folder, self.store, self.awaiter, self.clock)
        self.watched: list[str] = []
        contract = self._contract()
        routes = V2JobRoutes(contract, max_bytes=MAX_BYTES, user_header="X-User")
        events = V2EventRoutes(self.streams, contract, heartbeat_s=HEARTBEAT_S, headers={})
        assets = V2AssetRoutes(
            self.shelf.service,
            lambda caller: self.judges.principal(caller, None),
            max_bytes=ASSET_BYTES,
            idle_s=IDLE_S,
            user_header="X-User",
            clock=self.clock,
        )
        self.v2 = V2Handlers(StatusRoutes(lambda: self.health, lambda: self.not_ready), routes, events, assets)
        for prefix in (PREFIX, OWN_PREFIX):
            self.web.router.add_routes(v2_routes(prefix, self.v2, guard=token_guard(self.tokens)))

    def _contract(self):
        numbers = itertools.count(1)
        parts = ContractParts(
            store=self.store,
            judges=self.judges,
            door=self.door,
            canceller=self.canceller,
            runs=self.runs,
            repeats=Repeats(self.store, self.awaiter, self.reservations),
            assets=self.shelf.references,
            awaiter=self.awaiter,
            clock=self.clock,
            new_id=lambda: f"00000000-0000-4000-9000-{next(numbers):012d}",
            kept={JobStatus.SUCCEEDED: KEPT_S, JobStatus.FAILED: None},
        )
        return ContractJobs(parts, HeldPolls(self, HELD_S))

    def watch(self, job_id):
        """The jobs that somebody waited for are noted in `watched`."""
        self.watched.append(job_id)
        return self.changes.watch(job_id)


async def told(response) -> tuple[int, str]:
    """Status and the contract's word, of an answer that has the envelope."""
    body = await response.json()
    assert set(body) == {"error"}
    assert {"code", "message"} <= set(body["error"]) <= {"code", "message", "details"}
    assert body["error"]["message"]
    assert response.headers[REQUEST_ID]
    return response.status, body["error"]["code"]
