"""Tells a client the end of a job that ended without a run: cancelled or expired while it waited, or failed in the queue.

ComfyUI has no words for that, and a client that waits for ``executing`` with no node would wait for ever. It is told
``execution_interrupted`` (cancelled) or ``execution_error``, in core's own shape, and then ``executing`` with no node: once,
after the commit.

ComfyUI's page does not look at whose end it is and would clear the display of what it runs now. So a client that announced
feature flags, as the page does, hears it when its own run is over. One that is not connected hears it when it connects
within ``TELL_LATER_S``; nothing of this survives a restart. Any thread; never raises.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ..jobs.model import Job, JobStatus, JsonObject
from .endings import Endings
from .native import client_of, is_synthetic

log = logging.getLogger("expeditor.host")

TELL_LATER_S = 600.0
CLIENTS_MAX = 500
"""How many clients that cannot be told now are remembered; the longest waiting are forgotten."""
JOBS_MAX = 200
"""How many ends are remembered for one of them."""

Frames = tuple[tuple[str, JsonObject], ...]


class Farewells:
    """See the module's docstring."""

    def __init__(
        self, server: Any, endings: Endings, monotonic: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        """``server`` is ComfyUI's ``PromptServer``; ``clock`` stamps the frames, seconds since the epoch."""
        self._server = server
        self._endings = endings
        self._monotonic = monotonic
        self._clock = clock
        self._lock = threading.Lock()
        self._later: OrderedDict[str, list[tuple[float, Frames]]] = OrderedDict()

    def tell(self, job: Job) -> None:
        """The job has ended, and no run will tell so: not even one that is just being put back into the line."""
        self._endings.put_back(job.id)
        if job.client_id is not None and not is_synthetic(job.client_id):
            self.tell_client(job.client_id, job.id, last_word(job, self._clock()))

    def say(self, job: Job, word: tuple[str, JsonObject]) -> None:
        """One word of a job's run, if it has a socket now; of a job without a client, what stock tells everybody."""
        self._send(client_of(job.id, job.client_id), (word,))

    def is_away(self, client_id: str | None) -> bool:
        """Whether a job's client has no socket now."""
        return client_id is not None and not self._reachable(client_id)

    def tell_client(self, client_id: str, job_id: str, word: tuple[str, JsonObject]) -> None:
        """Tell a client the last word of a job and that it is over: now, or when that can be done."""
        frames: Frames = (word, ("executing", {"node": None, "prompt_id": job_id}))
        with self._lock:
            told = self._reachable(client_id) and not self._disturbs(client_id)
            if not told:
                self._remember(client_id, frames)
        if told:
            self._send(client_id, frames)

    def catch_up(self, client_id: object) -> None:
        """The client has connected, or its run is over: tell it what it has missed, if it can be told now."""
        if not isinstance(client_id, str) or client_id not in self._later:
            return
        with self._lock:
            if not self._reachable(client_id) or self._disturbs(client_id):
                return
            missed = self._later.pop(client_id, [])
            since_s = self._monotonic() - TELL_LATER_S
        for at_s, frames in missed:
            if at_s >= since_s:
                self._send(client_id, frames)

    def _reachable(self, client_id: str) -> bool:
        return client_id in self._server.sockets

    def _disturbs(self, client_id: str) -> bool:
        known: dict[str, JsonObject] = getattr(self._server, "sockets_metadata", None) or {}
        facts = known.get(client_id) or {}
        return bool(facts.get("feature_flags")) and self._endings.running_for(client_id)

    def _remember(self, client_id: str, frames: Frames) -> None:
        waiting = self._later.setdefault(client_id, [])
        waiting.append((self._monotonic(), frames))
        del waiting[:-JOBS_MAX]
        self._later.move_to_end(client_id)
        while len(self._later) > CLIENTS_MAX:
            self._later.popitem(last=False)

    def _send(self, client_id: str, frames: Frames) -> None:
        try:
            for event, fields in frames:
                self._server.send_sync(event, fields, client_id)
        except Exception:  # noqa: BLE001 - a socket must not keep the store from going on
            log.warning("The end of a job could not be told", exc_info=True, extra={"event": "farewell.untold"})


def last_word(job: Job, now_s: float) -> tuple[str, JsonObject]:
    """How ComfyUI would say that this job was cancelled or failed."""
    error = job.error
    fields: JsonObject = {
        "prompt_id": job.id,
        "node_id": error.node_id if error else None,
        "node_type": error.class_type if error else None,
        "executed": [],
    }
    stamp: JsonObject = {"timestamp": int(now_s * 1000)}
    if job.status is JobStatus.CANCELED:
        return "execution_interrupted", {**fields, **stamp}
    code = job.cause.value if job.cause else job.status.value
    trace = [error.traceback] if error and error.traceback else []
    said: JsonObject = {
        "exception_message": error.message if error else f"The job ended {job.status.value}.",
        "exception_type": (error.exception_type if error else None) or code,
        "traceback": trace,
        "current_inputs": {},
        "current_outputs": [],
    }
    return "execution_error", {**fields, **said, **stamp}
