"""Listens to what ComfyUI says on its sockets, by wrapping ``send_sync`` on the instance.

Owns five things: signals about runs go to ``dispatch``; progress and previews go to those who listen to the job; last words of
runs go to ``endings``, which may keep them back; messages to the synthetic client ids that ``host.native`` gives to jobs without
a client are sent to everybody where stock ComfyUI would have done so, and dropped where it would not have sent them; those of jobs
that were submitted to other instances go there (``outbound``). The wrapper never raises for our part.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

from .endings import Endings, Send
from .native import is_synthetic
from .pictures import is_ready, picture_of, preview_facts
from .ports import Abroad, Glimpses, Signals

log = logging.getLogger("expeditor.host")

RUN_EVENTS = frozenset(
    "execution_start execution_cached executing executed progress progress_state execution_error execution_interrupted".split()
)
GOES_ON = frozenset({"progress_state", "executing", "execution_cached"})
"""After which a run's progress may be another."""
TO_EVERYBODY = frozenset({"execution_interrupted", "progress_state", "progress"})
"""What stock ComfyUI tells every socket about a prompt that has no client; previews (numbers) come on top."""


def observe(
    server: Any, signals: Signals, endings: Endings, glimpses: Glimpses | None = None, abroad: Abroad | None = None
) -> None:
    """Wrap ``server.send_sync``. ``glimpses`` hears of progress and previews; ``abroad`` takes what jobs of other instances say."""
    original: Callable[..., Any] = server.send_sync

    @functools.wraps(original)
    def send_sync(event: Any, data: Any, sid: Any = None, *args: Any, **kwargs: Any) -> Any:
        result: Any = None
        fields = _fields(event, data)

        def send(word: Any, said: Any) -> Any:
            if abroad is not None and abroad.takes(word, sid):
                return abroad.say(word, said, sid)
            to = _receiver(word, sid)
            return None if to is _NOBODY else original(word, said, to, *args, **kwargs)

        if fields is None or not _withheld(endings, event, fields, send):
            result = send(event, data)
        if fields is not None and event in RUN_EVENTS:
            _tell(signals, event, fields)
        elif not isinstance(event, str) and not is_ready(data):
            _tell(signals, "preview", {})
        if glimpses is not None and not is_ready(data):
            _glimpse(server, glimpses, event, data)
        return result

    server.send_sync = send_sync


_NOBODY = object()


def _fields(event: Any, data: Any) -> Mapping[str, Any] | None:
    return cast("Mapping[str, Any]", data) if isinstance(event, str) and isinstance(data, dict) else None


def _receiver(event: Any, sid: Any) -> Any:
    if not is_synthetic(sid):
        return sid
    return None if not isinstance(event, str) or event in TO_EVERYBODY else _NOBODY


def _glimpse(server: Any, glimpses: Glimpses, event: Any, data: Any) -> None:
    try:
        if event in GOES_ON:
            glimpses.progressed(str(data.get("prompt_id")))
        elif not isinstance(event, str) and (picture := picture_of(event, data)) is not None:
            # A bare picture does not say whose it is: one run at a time makes pictures.
            last = getattr(server, "last_node_id", None)
            job_id = picture.job_id or getattr(server, "last_prompt_id", None)
            if job_id is not None:
                glimpses.previewed(str(job_id), lambda: preview_facts(picture, None if last is None else str(last)))
    except Exception:  # noqa: BLE001 - whoever looks on must not fail the node that is running
        log.warning("A listener failed on %s", event, exc_info=True, extra={"event": "observer.failed"})


def _withheld(endings: Endings, event: str, fields: Mapping[str, Any], send: Send) -> bool:
    try:
        return endings.withhold(event, fields, send)
    except Exception:  # noqa: BLE001 - a node's own fields may fail in any way; then the message goes out as it is
        log.warning("A message could not be looked at: %s", event, exc_info=True, extra={"event": "observer.failed"})
        return False


def _tell(signals: Signals, event: str, fields: Mapping[str, Any]) -> None:
    try:
        signals.signal(event, fields)
    except Exception:  # noqa: BLE001 - whoever listens must not fail the node that is running
        log.warning("A listener failed on %s", event, exc_info=True, extra={"event": "observer.failed"})
