"""Our events on ComfyUI's socket: one event type, ``expeditor.event``."""

from __future__ import annotations

import logging
from typing import Any

from ..jobs.belonging import is_home
from ..jobs.events import JobEvent
from ..jobs.model import JsonObject
from ..jobs.wire import event_json
from .native import is_synthetic

log = logging.getLogger("expeditor.host")

EVENT = "expeditor.event"


class Notifier:
    """Sends to the page; also a subscriber of the event bus. Any thread; never raises."""

    def __init__(self, server: Any, here: str | None = None) -> None:
        """``server`` is ComfyUI's ``PromptServer``; ``here``: this instance's name where several share the queue."""
        self._server = server
        self._here = here

    def send(self, event: JsonObject, client_id: str | None) -> None:
        """Tell one client, or everybody when ``client_id`` is None. ``event`` must be JSON and have a ``type``."""
        try:
            self._server.send_sync(EVENT, event, client_id)
        except Exception:  # noqa: BLE001 - a socket message must never fail a job
            log.warning("An event could not be sent", exc_info=True, extra={"event": "notify.failed"})

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """Tell each job's own client what happened to it, in the words of the streams (``jobs.wire``): where it submitted the job."""
        for event in events:
            client_id = event.job.client_id
            if not is_home(event.job, self._here):
                continue
            if client_id is None or is_synthetic(client_id) or client_id not in self._server.sockets:
                continue
            self.send(event_json(event.logged()), client_id)
