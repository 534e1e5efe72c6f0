"""Withholds what ComfyUI says at the end of a run until it is known whether that is the job's end.

ComfyUI tells a client ``execution_success``, ``execution_error`` or ``execution_interrupted`` while it executes, and ``executing``
with no node once ``task_done`` has returned; both are heard by clients as the end of their job. For runs that our queue
started they are kept here, told in their order when the job's end is committed, and dropped when the job runs again.

Owns that state, in memory. Does not own the sockets (``observer`` hands over how to send each frame), nor what becomes of
a run (``dispatch`` says it). Any thread; never raises.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

log = logging.getLogger("expeditor.host")

Send = Callable[[str, Mapping[str, Any]], object]
"""Sends an event and its fields to the socket that the frame at hand was for."""

Word = tuple[str, Mapping[str, Any]]
"""An event and its fields."""

LAST_WORDS = frozenset({"execution_success", "execution_error", "execution_interrupted"})
BLOCKED = "ExecutionBlocked"
"""The error of a branch that a node blocked: the prompt goes on, so it is no end."""


class _Phase(Enum):
    OPEN = "open"  # it runs, or its end is owed
    PUT_BACK = "put back"  # not its end: core's closing word is still to come, and to be dropped
    OVER = "over"  # its end is told but for core's closing word


@dataclass(frozen=True, slots=True)
class Frame:
    """What was to be told, and how it is sent."""

    event: str
    fields: Mapping[str, Any]
    send: Send

    def saying(self, word: Word) -> Frame:
        """The same with other words; as it is if it is of that event already."""
        return self if self.event == word[0] else replace(self, event=word[0], fields=word[1])


@dataclass(slots=True)
class _Run:
    client_id: str | None
    phase: _Phase = _Phase.OPEN
    last_word: Frame | None = None
    closing: Frame | None = None


class Endings:
    """The runs of our queue whose end is not told yet, by job id."""

    def __init__(self) -> None:
        """Nothing runs."""
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}

    def begin(self, job_id: str, client_id: str | None) -> None:
        """A run starts: from now on its last words are kept."""
        with self._lock:
            self._runs[job_id] = _Run(client_id)

    def withhold(self, event: str, fields: Mapping[str, Any], send: Send) -> bool:
        """Whether this message must not go out now. It is kept where it may have to be told later."""
        closing = event == "executing" and "node" in fields and fields["node"] is None
        if not closing and (event not in LAST_WORDS or fields.get("exception_type") == BLOCKED):
            return False
        with self._lock:
            run = self._runs.get(str(fields.get("prompt_id")))
            if run is None or run.phase is _Phase.OVER:
                return False
            if run.phase is _Phase.PUT_BACK:
                if closing:
                    run.phase = _Phase.OVER
                return closing
            # What a run says last counts: an error outside its nodes takes back a success.
            if closing:
                run.closing = Frame(event, fields, send)
            else:
                run.last_word = Frame(event, fields, send)
            return True

    def correct(self, job_id: str, word: Word) -> None:
        """The job ended otherwise than its run says: this is to be told as its last word."""
        with self._lock:
            run = self._runs.get(job_id)
            if run is not None and run.last_word is not None:
                run.last_word = run.last_word.saying(word)

    def ended(self, job_id: str) -> None:
        """The job's end is committed: tell what was kept, in order."""
        with self._lock:
            run = self._runs.get(job_id)
            if run is None or run.phase is not _Phase.OPEN:
                return
            run.phase = _Phase.OVER
            kept, run.last_word, run.closing = (run.last_word, run.closing), None, None
        for frame in kept:
            if frame is not None:
                _send(frame)

    def hand_over(self, job_id: str) -> tuple[str, Frame] | None:
        """The job's end is committed, but its client is away: who it is and the run's last word, for somebody to tell later.

        None when there is nothing to tell; then ``ended`` is as good. Core's closing word is dropped.
        """
        with self._lock:
            run = self._runs.get(job_id)
            if run is None or run.phase is not _Phase.OPEN or run.client_id is None or run.last_word is None:
                return None
            run.phase = _Phase.OVER if run.closing else _Phase.PUT_BACK
            last_word, run.last_word, run.closing = run.last_word, None, None
        return run.client_id, last_word

    def again_now(self, job_id: str) -> None:
        """The run starts over at once: forget what it said."""
        with self._lock:
            run = self._runs.get(job_id)
            if run is not None:
                run.last_word = run.closing = None

    def put_back(self, job_id: str) -> None:
        """The job waits again: forget what its run said, and what ComfyUI will say next."""
        with self._lock:
            run = self._runs.get(job_id)
            if run is not None and run.phase is _Phase.OPEN:
                run.last_word = run.closing = None
                run.phase = _Phase.PUT_BACK

    def rest(self) -> tuple[str, ...]:
        """The worker is between two runs, so core has said all it will: the clients whose run is over by now."""
        with self._lock:
            over = {job_id: run for job_id, run in self._runs.items() if run.phase is not _Phase.OPEN}
            for job_id in over:
                del self._runs[job_id]
        return tuple(run.client_id for run in over.values() if run.client_id is not None)

    def client_of(self, job_id: str) -> str | None:
        """The client of a run that is not over; None also when it has none."""
        with self._lock:
            run = self._runs.get(job_id)
            return None if run is None else run.client_id

    def running_for(self, client_id: str) -> bool:
        """Whether a run of this client is not over yet."""
        with self._lock:
            return any(run.client_id == client_id for run in self._runs.values())


def _send(frame: Frame) -> None:
    try:
        frame.send(frame.event, frame.fields)
    except Exception:  # noqa: BLE001 - a socket must neither fail a job nor end the worker thread
        log.warning("The end of a run could not be told", exc_info=True, extra={"event": "ending.untold"})
