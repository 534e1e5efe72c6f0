"""What stands in front of ComfyUI's stock routes: only what core refuses, or what would hurt the server, is refused.

Fits ``host.ports.StockGate``. Owns the order of steps for a stock body; the rules are ``lift``, ``validation.protect`` and
``stock_bodies``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, cast

from ..jobs.entry import PreparedPrompt
from ..jobs.errors import Fault, InputInvalid, InvalidPrompt
from ..jobs.model import JsonObject, Principal
from ..jobs.principals import PrincipalRules, principal_of
from .ceilings import Ceilings, Wish
from .depth import QueueDepth
from .envelope import is_prompt_id, known_targets
from .lift import lift, take
from .limits import parse_body
from .pools import AlonePools, check_served, take_pool
from .ports import Roster
from .request_keys import header_key, request_key
from .stock_bodies import check_free, check_history, check_interrupt, check_max_items, check_queue
from .tokens import Tokens

log = logging.getLogger("expeditor.intake")


class Protection(Protocol):
    """The stages of ``intake.validation`` that protect the server."""

    def protect(self, body: JsonObject) -> None:
        """Raises a ``Refused`` for what core refuses or what would hurt the server."""
        ...


class StockGate:
    """See the module's docstring."""

    def __init__(
        self,
        *,
        validation: Protection,
        principals: PrincipalRules,
        ceilings: Ceilings,
        depth: QueueDepth,
        max_bytes: int,
        max_depth: int,
        tokens: Tokens | None = None,
        roster: Roster | None = None,
    ) -> None:
        """``max_bytes`` and ``max_depth`` bound a body before it is looked at; ``depth`` is how full the queue is.

        Core knows no priorities, so what is above one of the ``ceilings`` is lowered here and not refused; it knows no
        ``tokens`` either, so a wrong one is as good as none.
        """
        self._validation = validation
        self._principals = principals
        self._ceilings = ceilings
        self._depth = depth
        self._max_bytes = max_bytes
        self._max_depth = max_depth
        self._tokens = tokens or Tokens()
        self._roster = roster or AlonePools()

    def read(self, raw: bytes, remote: str | None, headers: Mapping[str, str]) -> PreparedPrompt:
        """Read a body of ``POST /prompt`` and whose it is; its graph is not judged yet. Raises ``ExpeditorError``."""
        body = parse_body(raw, self._max_bytes, self._max_depth)
        if not isinstance(body, dict):
            raise InvalidPrompt("The body must be a JSON object with a prompt in it.", faults=(_NO_PROMPT,))
        sent = cast("JsonObject", body)
        lifted = lift(sent)
        pooled = take_pool(lifted.body, own_route=False)
        if pooled.faults:
            raise InputInvalid(pooled.faults[0].message, faults=pooled.faults)
        check_served(pooled.pool, self._roster.pools(), "/extra_data")
        prompt = pooled.body
        if prompt.get("prompt_id", "") is None:
            # Core would make the text "None" of it, one id for all such clients.
            prompt.pop("prompt_id")
        user = headers.get(self._principals.user_header) if self._principals.user_header else None
        token = self._tokens.name_of(headers.get("Authorization"))
        principal = principal_of(self._principals, remote, user, prompt.get("client_id"), token)
        chosen = prompt.get("prompt_id")
        key = request_key(principal, header_key(headers), chosen if is_prompt_id(chosen) else None, sent)
        priority = self._ceilings.default_of(principal) if lifted.priority is None else lifted.priority
        return PreparedPrompt(prompt, priority, principal, key, pooled.pool)

    def admit(self, prepared: PreparedPrompt) -> PreparedPrompt:
        """Judge what was read: may it go on to core. Raises ``ExpeditorError``."""
        self._depth.check(prepared.principal)  # what has no chance is not worth the walk through its graph
        prompt = prepared.body
        self._validation.protect(prompt)
        targets, graph = prompt.get("partial_execution_targets"), prompt.get("prompt")
        if isinstance(targets, list) and isinstance(graph, dict):
            prompt["partial_execution_targets"] = known_targets(cast("list[str]", targets), cast("JsonObject", graph))
        priority = self._lowered(prompt, prepared.priority, prepared.principal)
        return replace(prepared, priority=priority)

    def lift(self, body: Any) -> tuple[Any, int | None]:
        """Take priorities out of a parsed body, whatever it is; a wrong priority is taken out and counts as none. Never raises."""
        if not isinstance(body, dict):
            return body, None
        lifted = take(cast("JsonObject", body))
        priority = self._lowered(lifted.body, lifted.effective, self.owner(lifted.body))
        return lifted.body, lifted.priority if priority == lifted.effective else priority

    def owner(self, body: Any) -> Principal:
        """Who a parsed body says that it comes from, where its request is not known. Never raises."""
        client_id = cast("JsonObject", body).get("client_id") if isinstance(body, dict) else None
        return principal_of(self._principals, None, None, client_id)

    def check(self, method: str, path: str, raw: bytes, query: Mapping[str, str]) -> None:
        """Check a body of ``/queue``, ``/history``, ``/interrupt`` or ``/free``, and the query of ``GET /history``."""
        if method == "GET":
            if path == "/history" or path.startswith("/history/"):
                for name in ("max_items", "offset"):
                    if name in query:
                        check_max_items(query[name])
        elif method == "POST" and path == "/interrupt":
            check_interrupt(raw)
        elif method == "POST" and path in _CHECKS:
            _CHECKS[path](parse_body(raw, self._max_bytes, self._max_depth))

    def _lowered(self, body: JsonObject, priority: int, principal: Principal) -> int:
        """The priority that ``principal`` may have; its wish for the front is taken out of ``body`` if that is too much."""
        wish = Wish(priority, front=_wants_front(body))
        allowed = self._ceilings.lowered(principal, wish)
        if wish.front and not allowed.front:
            body.pop("front", None)
            body.pop("number", None)
        if allowed != wish:
            extra = {"event": "priority.lowered", "principal": principal.name, "priority": allowed.priority}
            log.info("A prompt's priority was lowered to its owner's ceiling (%d)", allowed.priority, extra=extra)
        return allowed.priority


def _wants_front(body: JsonObject) -> bool:
    if "number" not in body:
        return bool(body.get("front"))
    try:
        return float(body["number"]) < 0  # as core reads it, texts too
    except (TypeError, ValueError, OverflowError):
        return False


_NO_PROMPT = Fault(
    "", InvalidPrompt.code, "No prompt provided", core_type="no_prompt", core_details="No prompt provided"
)
_CHECKS = {"/queue": check_queue, "/history": check_history, "/free": check_free}
