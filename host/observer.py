"""Listens to what ComfyUI says on its sockets, by wrapping ``send_sync`` on the instance.

Owns two things: signals about runs go to ``dispatch``; messages to the synthetic client ids that ``host.native`` gives to
jobs without a client are sent to everybody where stock ComfyUI would have done so, and dropped where it would not have
sent them. The wrapper never raises for our part.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

from .native import is_synthetic
from .ports import Signals

log = logging.getLogger("expeditor.host")

RUN_EVENTS = frozenset(
    "execution_start execution_cached executing executed progress progress_state execution_error execution_interrupted".split()
)
TO_EVERYBODY = frozenset({"execution_interrupted", "progress_state", "progress"})
"""What stock ComfyUI tells every socket about a prompt that has no client; previews (numbers) come on top."""


def observe(server: Any, signals: Signals) -> None:
    """Wrap ``server.send_sync``."""
    original: Callable[..., Any] = server.send_sync

    @functools.wraps(original)
    def send_sync(event: Any, data: Any, sid: Any = None, *args: Any, **kwargs: Any) -> Any:
        result: Any = None
        if not is_synthetic(sid):
            result = original(event, data, sid, *args, **kwargs)
        elif not isinstance(event, str) or event in TO_EVERYBODY:
            result = original(event, data, None, *args, **kwargs)
        if isinstance(event, str) and event in RUN_EVENTS and isinstance(data, dict):
            _tell(signals, event, cast("Mapping[str, Any]", data))
        elif not isinstance(event, str):
            _tell(signals, "preview", {})
        return result

    server.send_sync = send_sync


def _tell(signals: Signals, event: str, fields: Mapping[str, Any]) -> None:
    try:
        signals.signal(event, fields)
    except Exception:  # noqa: BLE001 - whoever listens must not fail the node that is running
        log.warning("A listener failed on %s", event, exc_info=True, extra={"event": "observer.failed"})
