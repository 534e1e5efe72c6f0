"""From an address to the kind of server that answers there."""

from __future__ import annotations

from .api import Expeditor
from .faults import NotHere
from .stock import StockComfyUI
from .transport import Ask, Transport

Server = Expeditor | StockComfyUI

_NOT_THERE = frozenset({401, 403, 404, 405})


def connect(transport: Transport) -> Server:
    """Ask what is there. Raises ``NotHere`` when it is neither, ``Unreachable`` when nothing answers."""
    answer = transport.ask(Ask("GET", "/expeditor/health", final=_NOT_THERE))
    if answer.status_code in {401, 403}:
        return Expeditor(transport)  # the call itself will be told why not
    if answer.is_success and _object(answer.content, "status"):
        return Expeditor(transport)
    answer = transport.ask(Ask("GET", "/system_stats", final=_NOT_THERE))
    if answer.is_success and _object(answer.content, "system"):
        return StockComfyUI(transport)
    raise NotHere(f"{transport.url} answers, but is no ComfyUI: neither /expeditor/health nor /system_stats is there.")


def with_expeditor(server: Server, what: str) -> Expeditor:
    """The server, if it can do what only Expeditor does; ``what`` begins the sentence of the fault."""
    if isinstance(server, Expeditor):
        return server
    raise NotHere(f"{what} needs Expeditor, and {server.transport.url} is a ComfyUI without it.")


def _object(content: bytes, field: str) -> bool:
    return content.lstrip().startswith(b"{") and f'"{field}"'.encode() in content
