"""Jobs that were submitted here and that another instance runs: shown as running, and ended as if they had run here.

Owns their place in ComfyUI's lists, from the committed start of a run on another instance to its end, which is written into the history
from what the store has and told to the client: once, in the words that the run would have said here. Does not own what is said while
they run (``inbound``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from ..jobs.model import Job, JobStatus, JsonObject, Payload
from .endings import BLOCKED, LAST_WORDS
from .farewells import Farewells, last_word
from .history import restored_entry, untold_entry
from .inbound import Inbound
from .native import NativeItem, item_id, item_of
from .ports import Finished
from .sanitise import fields_of

if TYPE_CHECKING:
    from .queue import ExpeditorQueue

log = logging.getLogger("expeditor.host")


class Elsewhere:
    """Called by ``listing`` with committed events, in order."""

    def __init__(self, farewells: Farewells, inbound: Inbound, clock: Callable[[], float]) -> None:
        """``clock`` stamps what nobody stamped before."""
        self._farewells = farewells
        self._inbound = inbound
        self._clock = clock

    def starts(self, queue: ExpeditorQueue, job: Job) -> None:
        """Another instance has begun to run the job."""
        wiring = queue.expeditor
        with queue.mutex:
            known = wiring.elsewhere.get(job.id) or queue.take_off(job.id) or queue.running_item(job.id)
            wiring.elsewhere[job.id] = item_of(job, None) if known is None else known
            for kept in (wiring.to_list, wiring.on_machine, wiring.parked):
                kept.discard(job.id)
            queue.server.queue_updated()
        if known is None:
            wiring.line.payload(job.id).add_done_callback(partial(self._fetched, queue, job))
        self._inbound.begin(job)

    def back(self, queue: ExpeditorQueue, job_id: str) -> bool:
        """The job waits again: whether it was shown as running elsewhere and is listed again now."""
        with queue.mutex:
            item = queue.expeditor.elsewhere.pop(job_id, None)
            if item is None:
                return False
            self._inbound.put_back(job_id)
            if not item[2] or any(item_id(other) == job_id for other in queue.currently_running.values()):
                return (
                    False  # not fetched yet, or a run that was given up here is not over: listed as any that comes back
                )
            queue.queue.append(item)
            queue.server.queue_updated()
            queue.wake()
            return True

    def ended(self, queue: ExpeditorQueue, job: Job, item: NativeItem | None) -> None:
        """The job's end is committed, and no run of ours told it."""
        wiring = queue.expeditor
        with queue.mutex:
            item = wiring.elsewhere.pop(job.id, None) or item
            deleted = job.id in wiring.deleted and job.status is JobStatus.CANCELED
            for kept in (wiring.deleted, wiring.to_list, wiring.from_store, wiring.parked):
                kept.discard(job.id)
            if job.id in wiring.arriving:
                wiring.left.add(job.id)
            queue.server.queue_updated()
        if deleted:
            # As in core, what is deleted leaves no trace; it was claimed elsewhere when it was deleted here.
            wiring.line.forget_history((job.id,))
            self._inbound.close(job.id, lambda _: self._farewells.tell(job))
        else:
            self._inbound.close(job.id, partial(self._over, queue, job, item))

    def _fetched(self, queue: ExpeditorQueue, job: Job, payload: Future[Payload | None]) -> None:
        if payload.exception() is None:
            with queue.mutex:
                if job.id in queue.expeditor.elsewhere:
                    queue.expeditor.elsewhere[job.id] = item_of(job, payload.result())

    def _over(self, queue: ExpeditorQueue, job: Job, item: NativeItem | None, executed: frozenset[str]) -> None:
        found = queue.expeditor.line.history(job.id)
        found.add_done_callback(partial(self._remember, queue, job, item, executed))

    def _remember(
        self,
        queue: ExpeditorQueue,
        job: Job,
        item: NativeItem | None,
        executed: frozenset[str],
        found: Future[Finished | None],
    ) -> None:
        entry = self._entry(job, item, found)
        with queue.mutex:
            listed = job.id in queue.expeditor.to_list or any(item_id(other) == job.id for other in queue.queue)
            if entry is not None and not listed:
                queue.write_history(job.id, entry)
                queue.server.queue_updated()
        # After the history: whoever hears of the end may look there at once.
        self._tell(job, entry, executed)

    def _entry(self, job: Job, item: NativeItem | None, found: Future[Finished | None]) -> JsonObject | None:
        error = found.exception()
        kept = found.result() if error is None else None
        if kept is not None:
            return restored_entry(kept.job, kept.payload, kept.history_json)
        if error is None or item is None:
            return None  # it was forgotten meanwhile
        log.warning(
            "The end of a job could not be read: %s", error, extra={"event": "history.unread", "job_id": job.id}
        )
        return untold_entry(item, last_word(job, self._clock()))

    def _tell(self, job: Job, entry: JsonObject | None, executed: frozenset[str]) -> None:
        if not self._farewells.is_away(job.client_id):
            for node_id, output in fields_of((entry or {}).get("outputs")).items():
                if node_id not in executed:
                    self._farewells.say(job, _executed(job.id, node_id, output, entry or {}))
        word = _last_said(entry) or last_word(job, self._clock())
        if job.client_id is None:
            # As of a run without a client: what stock tells everybody is told, by whoever sends for a socket that nobody has.
            self._farewells.say(job, word)
        else:
            self._farewells.tell_client(job.client_id, job.id, word)


def _executed(job_id: str, node_id: str, output: Any, entry: JsonObject) -> tuple[str, JsonObject]:
    meta = fields_of(fields_of(entry.get("meta")).get(node_id))
    return "executed", {
        "node": node_id,
        "display_node": meta.get("display_node") or node_id,
        "output": output,
        "prompt_id": job_id,
    }


def _last_said(entry: JsonObject | None) -> tuple[str, JsonObject] | None:
    """How the run itself said that it was over, as its history has it."""
    for message in reversed(fields_of((entry or {}).get("status")).get("messages") or ()):
        event, data = said_in(message)
        if event in LAST_WORDS and data.get("exception_type") != BLOCKED:
            return event, data
    return None


def said_in(message: Any) -> tuple[str, JsonObject]:
    """A message of a history's status: its event and its fields."""
    parts = cast("list[Any]", message) if isinstance(message, (list, tuple)) else []
    return (str(parts[0]), fields_of(parts[1])) if len(parts) == 2 else ("", {})
