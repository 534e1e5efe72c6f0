"""The record with which ``intake``'s gate hands a stock body to ``host``."""

from __future__ import annotations

from dataclasses import dataclass

from .model import JsonObject, Principal, RequestKey


@dataclass(frozen=True, slots=True)
class PreparedPrompt:
    """A body for core: without priorities in it, and what was lifted out. ``request_key``: what makes it a repeat, if anything."""

    body: JsonObject
    priority: int
    principal: Principal
    request_key: RequestKey | None = None
