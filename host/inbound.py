"""What runs of our jobs on other instances say, told to our sockets as if they ran here.

Owns which words are taken (of the instance that runs the job now, and of no other), that they come in their order, and which results of
nodes were told already. What comes before this instance has heard that the job runs there is kept for a moment (``early``). Does not own
the end: it is told when it is committed, after the run's last words or a moment later (``elsewhere``). Any thread; never raises.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..jobs.belonging import runner_of
from ..jobs.model import Job
from ..jobs.relayed import Message, Preview, binary_of, read_message, read_preview
from .early import EarlyWords
from .native import client_of
from .pictures import WITH_METADATA, ready
from .sanitise import fields_of

log = logging.getLogger("expeditor.host")

LAST_WORDS_S = 1.0
"""How long the end of a job waits for the last words of its run."""
_BARE = 2

Later = Callable[[float, Callable[[], None]], None]
"""Call something in so many seconds."""
Then = Callable[[frozenset[str]], None]
"""Goes on when a run has said all it will; given the nodes whose results were told."""


@dataclass(slots=True)
class _Run:
    runner: str | None
    client_id: str | None
    executed: set[str] = field(default_factory=set[str])
    node: Any = None
    over: bool = False
    then: Then | None = None


class Inbound:
    """The jobs of this instance that run elsewhere, as far as their sockets go."""

    def __init__(self, server: Any, later: Later) -> None:
        """``server`` is ComfyUI's ``PromptServer``."""
        self._server = server
        self._later = later
        self._lock = threading.RLock()
        self._runs: dict[str, _Run] = {}
        self._early = EarlyWords()

    def begin(self, job: Job) -> None:
        """A job of ours runs on another instance from now on, or goes on there with its next attempt."""
        runner = runner_of(job)
        with self._lock:
            run = self._runs.get(job.id)
            if run is None or run.runner != runner:
                run = self._runs[job.id] = _Run(runner, job.client_id)
            run.over = False
            for word in self._early.taken(runner or "", job.id):
                self._tell(run, word)

    def put_back(self, job_id: str) -> None:
        """It runs there no more, and this is not its end."""
        with self._lock:
            self._runs.pop(job_id, None)

    def close(self, job_id: str, then: Then) -> None:
        """Its end is committed: go on when its run has said all it will, or in ``LAST_WORDS_S``."""
        with self._lock:
            run = self._runs.get(job_id)
            waits = run is not None and not run.over
            if run is not None and waits:
                run.then = then
        if run is None or not waits:
            self._go_on(job_id, run, then)
        else:
            self._later(LAST_WORDS_S, lambda: self._finish(job_id, run))

    def heard_message(self, sender: str, _kind: str, body: bytes) -> None:
        """A word of the relay."""
        message = read_message(body)
        if message is not None:
            self._hear(sender, message, len(body))

    def heard_picture(self, sender: str, _kind: str, body: bytes) -> None:
        """A word of the relay."""
        preview = read_preview(body)
        if preview is not None:
            self._hear(sender, preview, len(body))

    def greet(self, client_id: object) -> None:
        """A client has connected: which node is being executed for it, as ComfyUI tells one that comes back while its job runs."""
        with self._lock:
            nodes = [
                (job_id, run.node)
                for job_id, run in self._runs.items()
                if run.client_id == client_id and run.node is not None
            ]
        for job_id, node in nodes:
            self._send("executing", {"node": node, "prompt_id": job_id}, client_id)

    def _hear(self, sender: str, word: Message | Preview, size_bytes: int) -> None:
        with self._lock:
            run = self._runs.get(word.job_id)
            if run is None:
                self._early.keep(sender, word, size_bytes)
            elif run.runner == sender:
                self._tell(run, word)
        if run is not None and run.over:
            self._finish(word.job_id, run)

    def _finish(self, job_id: str, run: _Run) -> None:
        with self._lock:
            then, run.then = run.then, None
        if then is not None:
            self._go_on(job_id, run, then)

    def _go_on(self, job_id: str, run: _Run | None, then: Then) -> None:
        with self._lock:
            if self._runs.get(job_id) is run:
                self._runs.pop(job_id, None)
            self._early.forget(job_id)
            executed = frozenset(run.executed) if run is not None else frozenset[str]()
        then(executed)

    def _tell(self, run: _Run, word: Message | Preview) -> None:
        if isinstance(word, Preview):
            self._show(run, word)
            return
        if word.event is None:
            run.over = True
            return
        sid = None if word.to_all else client_of(word.job_id, run.client_id)
        binary = binary_of(word)
        if binary is not None:
            self._send(*binary, sid)
            return
        if word.event == "executed":
            run.executed.add(str(fields_of(word.data).get("node")))
        elif word.event == "executing":
            run.node = fields_of(word.data).get("node")
        self._send(word.event, word.data, sid)

    def _show(self, run: _Run, preview: Preview) -> None:
        sid = client_of(preview.job_id, run.client_id)
        image = ready(preview.image_format, preview.encoded)
        if preview.about is not None and self._reads_metadata(sid):
            self._send(WITH_METADATA, (image, preview.about), sid)
        else:
            self._send(_BARE, image, sid)

    def _reads_metadata(self, sid: str) -> bool:
        facts = fields_of(fields_of(getattr(self._server, "sockets_metadata", None)).get(sid))
        return bool(fields_of(facts.get("feature_flags")).get("supports_preview_metadata"))

    def _send(self, event: Any, data: Any, sid: Any) -> None:
        try:
            self._server.send_sync(event, data, sid)
        except Exception:  # noqa: BLE001 - a socket must not keep the relay from going on
            log.warning("A word of a run elsewhere could not be told: %s", event, exc_info=True, extra=_EXTRA)


_EXTRA = {"event": "inbound.failed"}
