"""The record with which ``intake``'s gate hands a stock body to ``host``."""

from __future__ import annotations

from dataclasses import dataclass

from .model import JsonObject, Principal


@dataclass(frozen=True, slots=True)
class PreparedPrompt:
    """A body that may go on to core: without priorities in it, and what was lifted out."""

    body: JsonObject
    priority: int
    principal: Principal
