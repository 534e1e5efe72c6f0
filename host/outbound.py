"""What runs here of jobs that were submitted to other instances say on their sockets, sent to these instances.

Owns who gets what and in which order: everything as it was said, but for files' names, which become those that they have at home, and
for the last words, which an instance tells by itself when the end is committed. A node's result is passed on when its files are there,
and all that follows it waits. Of previews the latest only, at most some a second. Nothing may depend on it: words may be lost.

Does not own how files travel (``Handover``) nor what becomes of a word (``inbound``).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, cast

from ..jobs.model import Job, JsonObject
from ..jobs.relayed import MESSAGE, PICTURE, Message, Preview, binary_message, message_body, preview_body
from .endings import BLOCKED, LAST_WORDS
from .native import GUEST_PREFIX, guest_of
from .notifier import EVENT
from .pictures import encoded, metadata_of, picture_of
from .ports import Handover, Words

log = logging.getLogger("expeditor.host")

PICTURES_APART_S = 0.25
"""The least time between two previews of a run."""
LOCAL_EVENTS = frozenset({"status", EVENT})
"""What is said to everybody on a run's thread and is not the run's word."""
HELD_MAX = 2_000
"""How many words of a run wait behind a result whose files are on their way; what comes then is dropped."""


@dataclass(slots=True)
class _Run:
    origin: str
    thread: int
    picture_s: float = float("-inf")
    waiting: deque[tuple[Message, Future[Any] | None]] = field(
        default_factory=deque[tuple[Message, "Future[Any] | None"]]
    )


class Outbound:
    """Fits ``ports.Abroad``."""

    def __init__(self, server: Any, words: Words, handover: Handover, monotonic: Callable[[], float]) -> None:
        """``server`` is ComfyUI's ``PromptServer``; ``words`` reach the other instances."""
        self._server = server
        self._words = words
        self._handover = handover
        self._monotonic = monotonic
        self._lock = threading.RLock()
        self._runs: dict[str, _Run] = {}

    def begin(self, job: Job) -> None:
        """See ``Abroad``."""
        if job.origin is None:
            return
        with self._lock:
            self._runs[job.id] = _Run(job.origin, threading.get_ident())
        # ComfyUI gives pictures whose they are to sockets that say they can read it; ours passes them on to who can.
        metadata = self._metadata()
        if metadata is not None:
            metadata[GUEST_PREFIX + job.id] = {"feature_flags": {"supports_preview_metadata": True}}

    def over(self, job_id: str) -> None:
        """See ``Abroad``."""
        with self._lock:
            run = self._runs.get(job_id)
            if run is not None:
                self._pass(run, Message(job_id))

    def forget(self, job_id: str) -> None:
        """See ``Abroad``."""
        with self._lock:
            self._runs.pop(job_id, None)
        metadata = self._metadata()
        if metadata is not None:
            metadata.pop(GUEST_PREFIX + job_id, None)

    def takes(self, event: object, sid: object) -> bool:
        """See ``Abroad``."""
        if sid is not None:
            return guest_of(sid) is not None
        if not self._runs or event in LOCAL_EVENTS:
            return False
        return self._speaking() is not None

    def say(self, event: Any, data: Any, sid: Any) -> None:
        """See ``Abroad``."""
        try:
            self._say(event, data, guest_of(sid) or self._speaking(), to_all=sid is None)
        except Exception:  # noqa: BLE001 - nodes say what they like, and a word that cannot be passed on must not fail them
            log.warning("A message of a run could not be passed on: %s", event, exc_info=True, extra=_EXTRA)

    def _say(self, event: Any, data: Any, job_id: str | None, *, to_all: bool) -> None:
        with self._lock:
            run = None if job_id is None else self._runs.get(job_id)
            if run is None or job_id is None or _is_last(event, data):
                return
            if not isinstance(event, str):
                if isinstance(data, (bytes, bytearray)) and picture_of(event, data) is None:
                    self._pass(run, binary_message(job_id, int(event), bytes(data), to_all=to_all))
                else:
                    self._show(run, job_id, event, data)
            elif event == "executed" and isinstance(data, dict):
                output = cast("JsonObject", data).get("output")
                self._pass(run, Message(job_id, event, data, to_all), self._handover.deliver(job_id, output))
            else:
                self._pass(run, Message(job_id, event, data, to_all))

    def _show(self, run: _Run, job_id: str, event: Any, data: Any) -> None:
        picture, now_s = picture_of(event, data), self._monotonic()
        if picture is None or now_s < run.picture_s + PICTURES_APART_S:
            return
        run.picture_s = now_s
        content_type, raw = encoded(picture.data)
        image_format = "PNG" if content_type == "image/png" else "JPEG"
        about = metadata_of(event, data)
        self._words.send(run.origin, PICTURE, preview_body(Preview(job_id, image_format, raw, about)))

    def _pass(self, run: _Run, message: Message, home: Future[Any] | None = None) -> None:
        """Send it, or have it wait behind what waits. ``home``: the node's outputs as they are named at home, once they are there."""
        if len(run.waiting) >= HELD_MAX:
            return
        run.waiting.append((message, home))
        self._drain(run)
        if home is not None and not home.done():
            home.add_done_callback(lambda _: self._arrived(run))

    def _arrived(self, run: _Run) -> None:
        with self._lock:
            self._drain(run)

    def _drain(self, run: _Run) -> None:
        while run.waiting:
            message, home = run.waiting[0]
            if home is not None and not home.done():
                return
            run.waiting.popleft()
            if home is None:
                self._send(run, message)
            elif home.exception() is None:  # else its instance tells it from the history, at the end
                data = {**message.data, "output": home.result()}
                self._send(run, Message(message.job_id, message.event, data, message.to_all))

    def _send(self, run: _Run, message: Message) -> None:
        try:
            self._words.send(run.origin, MESSAGE, message_body(message))
        except (ValueError, TypeError, RecursionError) as error:
            log.warning("A message of a run is no JSON: %s: %s", message.event, error, extra=_EXTRA)

    def _metadata(self) -> JsonObject | None:
        known: Any = getattr(self._server, "sockets_metadata", None)
        return cast("JsonObject", known) if isinstance(known, dict) else None

    def _speaking(self) -> str | None:
        here = threading.get_ident()
        return next((job_id for job_id, run in tuple(self._runs.items()) if run.thread == here), None)


_EXTRA = {"event": "outbound.failed"}


def _is_last(event: Any, data: Any) -> bool:
    if not isinstance(event, str) or not isinstance(data, dict):
        return False
    fields = cast("JsonObject", data)
    if event == "executing":
        return "node" in fields and fields["node"] is None
    return event in LAST_WORDS and fields.get("exception_type") != BLOCKED
