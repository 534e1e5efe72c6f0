"""Keeps ComfyUI's list of prompts and its history in step with what is committed about jobs, whatever caused it.

Hears committed events. A job that ended without a run leaves the list, its client is told (``farewells``), and ComfyUI's
history gets an entry; only what was deleted through ComfyUI's own routes leaves none, as on stock. A job that waits again,
though it is neither listed nor running (re-driven by hand), is listed from what the store has.

Does not own the ends of runs (``run_ends``). Called from the store's thread: quick, and waits for nothing but the queue's mutex.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from ..jobs.belonging import is_home, runs_elsewhere
from ..jobs.events import JobEvent
from ..jobs.model import Job, JobStatus, Payload
from ..jobs.transitions import is_terminal
from .elsewhere import Elsewhere
from .farewells import Farewells, last_word
from .history import untold_entry
from .native import NativeItem, item_id, item_of
from .ownership import our_queue

if TYPE_CHECKING:
    from .queue import ExpeditorQueue

log = logging.getLogger("expeditor.host")

QUEUED = "job.queued"
STARTED = "job.started"
PARKED = "job.waiting"
ENDS = frozenset({"job.succeeded", "job.failed", "job.canceled", "job.expired"})


class Listing:
    """Fits ``jobs.events.Publisher``."""

    def __init__(
        self, server: Any, farewells: Farewells, clock: Callable[[], float], elsewhere: Elsewhere | None = None
    ) -> None:
        """``server`` is ComfyUI's ``PromptServer``; ``clock`` stamps what goes into its history; ``elsewhere`` where several
        instances share the queue."""
        self._server = server
        self._farewells = farewells
        self._clock = clock
        self._elsewhere = elsewhere

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """Committed events, in order."""
        queue = our_queue(self._server)
        if queue is None or queue.expeditor.stood_down:
            return
        here = queue.expeditor.origin
        gone = {event.job.id for event in events if _is_end(event)}
        taken = self._take_off(queue, gone) if gone else {}
        changed = bool(taken)
        for event in events:
            if not is_home(event.job, here):
                self._of_another(queue, event, here)
            elif event.type == QUEUED:
                if self._elsewhere is None or not self._elsewhere.back(queue, event.job.id):
                    self._waits(queue, event.job)
            elif event.type == PARKED and event.job.status is JobStatus.WAITING:
                self._parks(queue, event.job, here)
            elif event.type == STARTED:
                self._starts(queue, event.job, here)
            elif _is_end(event):
                changed |= self._ends(queue, event.job, taken.pop(event.job.id, None), here)
        if changed:  # the end of a run is no change of ours: core tells it
            queue.server.queue_updated()

    def _of_another(self, queue: ExpeditorQueue, event: JobEvent, here: str | None) -> None:
        """A job that was submitted to another instance: of interest only while it is on this machine."""
        job_id = event.job.id
        if event.type == STARTED and not runs_elsewhere(event.job, here):
            self._starts(queue, event.job, here)
        elif event.type in (QUEUED, STARTED, PARKED):
            with queue.mutex:
                queue.expeditor.on_machine.discard(job_id)
        elif _is_end(event) and job_id in queue.expeditor.on_machine:
            self._ended(queue, event.job, None)

    def _ends(self, queue: ExpeditorQueue, job: Job, item: NativeItem | None, here: str | None) -> bool:
        with queue.mutex:
            wiring = queue.expeditor
            away = job.id not in wiring.on_machine and (job.id in wiring.elsewhere or runs_elsewhere(job, here))
        if self._elsewhere is None or not away:
            return self._ended(queue, job, item)
        self._elsewhere.ended(queue, job, item)
        return False

    def _take_off(self, queue: ExpeditorQueue, job_ids: set[str]) -> dict[str, NativeItem]:
        """Take those that ended without a run off the list, in one pass: a store commits hundreds of ends at once."""
        with queue.mutex:
            unran = job_ids - queue.expeditor.on_machine
            return queue.remove(unran) if unran else {}

    def _starts(self, queue: ExpeditorQueue, job: Job, here: str | None) -> None:
        if self._elsewhere is not None and runs_elsewhere(job, here):
            self._elsewhere.starts(queue, job)
            return
        with queue.mutex:
            queue.expeditor.on_machine.add(job.id)
            queue.expeditor.to_list.discard(job.id)
            queue.expeditor.parked.discard(job.id)

    def _parks(self, queue: ExpeditorQueue, job: Job, here: str | None) -> None:
        """No run will tell its end any more, unless it goes on; ``run_ends`` lists it among those that wait, if it ran here."""
        with queue.mutex:
            queue.expeditor.on_machine.discard(job.id)
            queue.expeditor.parked.add(job.id)
            listed = any(item_id(item) == job.id for item in queue.queue)
        if listed or self._elsewhere is None or not runs_elsewhere(job, here):
            return
        if not self._elsewhere.back(queue, job.id):
            self._waits(queue, job)

    def _waits(self, queue: ExpeditorQueue, job: Job) -> None:
        wiring = queue.expeditor
        if job.id in wiring.arriving or not wiring.restored:
            return  # listed by ``put``, or about to be restored
        with queue.mutex:
            wiring.on_machine.discard(job.id)
            wiring.left.discard(job.id)
            wiring.to_list.add(job.id)
            if queue.running_item(job.id) is not None:
                return  # it is between its run and the list: ``run_ends`` lists it
        wiring.line.payload(job.id).add_done_callback(partial(self._fetched, queue, job))

    def _fetched(self, queue: ExpeditorQueue, job: Job, payload: Future[Payload | None]) -> None:
        with queue.mutex:
            if job.id not in queue.expeditor.to_list:
                return  # it ran or ended meanwhile
            queue.expeditor.to_list.discard(job.id)
            queue.list_again(_item(job, payload))

    def _ended(self, queue: ExpeditorQueue, job: Job, item: NativeItem | None) -> bool:
        """Whether the history got an entry by it now."""
        wiring = queue.expeditor
        with queue.mutex:
            ran, deleted = job.id in wiring.on_machine, job.id in wiring.deleted
            wiring.on_machine.discard(job.id)
            wiring.to_list.discard(job.id)
            wiring.parked.discard(job.id)
            wiring.deleted.discard(job.id)
            if ran:
                if job.status is JobStatus.CANCELED:
                    wiring.canceled[job.id] = job
                return False
            wiring.from_store.discard(job.id)
            item = item or queue.running_item(job.id)
            if queue.running_item(job.id) is not None or job.id in wiring.arriving:
                wiring.left.add(job.id)
        if deleted and job.status is JobStatus.CANCELED:
            self._farewells.tell(job)
        elif item is not None:
            queue.write_history(job.id, untold_entry(item, last_word(job, self._clock())))
            self._farewells.tell(job)
            return True
        else:
            wiring.line.payload(job.id).add_done_callback(partial(self._remember, queue, job))
        return False

    def _remember(self, queue: ExpeditorQueue, job: Job, payload: Future[Payload | None]) -> None:
        item = _item(job, payload)
        with queue.mutex:
            if job.id not in queue.expeditor.to_list and queue.running_item(job.id) is None:
                queue.write_history(job.id, untold_entry(item, last_word(job, self._clock())))
                queue.server.queue_updated()
        self._farewells.tell(job)  # after the history: whoever hears of the end may look there at once


def _is_end(event: JobEvent) -> bool:
    return event.type in ENDS and is_terminal(event.job.status)


def _item(job: Job, payload: Future[Payload | None]) -> NativeItem:
    """What the store has of the job; an empty prompt, which core ends at once, if it has nothing that can be read."""
    error = payload.exception()
    if error is not None:
        log.warning("What a job runs could not be read: %s", error, extra={"event": "payload.unread", "job_id": job.id})
    return item_of(job, payload.result() if error is None else None)
