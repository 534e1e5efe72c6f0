"""What follows a run on ComfyUI's worker thread: settle it, then end it for ComfyUI and its client, or have the job wait again.

Owns the endings that are owed: while the store is away a job stays among those that run, with no history and nothing told.
Does not own the verdict (``dispatch``) nor what was withheld (``endings``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..jobs.settled import Settled
from .endings import Word
from .farewells import last_word
from .history import interrupted_status, kept_json, status_fields

if TYPE_CHECKING:
    from .queue import ExpeditorQueue

log = logging.getLogger("expeditor.host")


@dataclass(frozen=True, slots=True)
class CoreCall:
    """What core's ``task_done`` was called with; ``result`` can be written as JSON."""

    counter: int
    result: dict[str, Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def status(self) -> Any:
        """Core's named tuple, or None."""
        return self.kwargs.get("status", self.args[0] if self.args else None)

    def saying(self, word: Word) -> CoreCall:
        """The same of a run that is to be shown as cancelled, with this last word."""
        status = self.status
        if status is None:
            return self
        status = status._replace(**interrupted_status(status_fields(status), word))
        if "status" in self.kwargs:
            return replace(self, kwargs={**self.kwargs, "status": status})
        return replace(self, args=(status, *self.args[1:]))


class RunEnds:
    """Of one queue; ``done`` is called by its worker thread, ``tell_settled`` also by another when results came home late. Never raises
    for our part."""

    def __init__(self, queue: ExpeditorQueue, core_task_done: Callable[..., None]) -> None:
        """``core_task_done`` is core's own method on ``queue``: it writes the history."""
        self._queue = queue
        self._core_task_done = core_task_done
        self._owed: dict[str, CoreCall] = {}

    def done(self, job_id: str, call: CoreCall) -> None:
        """A run of ours is over."""
        wiring = self._queue.expeditor
        if job_id in wiring.guests and wiring.abroad is not None:
            wiring.abroad.over(job_id)
        # Owed until it is known otherwise: an end whose results come home late is told by another thread, maybe at once.
        self._owed[job_id] = call
        settled = self._settle(job_id, call)
        if settled is Settled.OWED:
            return
        if self._owed.pop(job_id, None) is None:
            return  # the queue became core's meanwhile, and all that was owed was ended
        if settled is Settled.LOST:
            self._let_go(job_id, call.counter)
        elif settled is not Settled.AGAIN or not self._put_back(job_id, call.counter):
            self.end(job_id, call)

    def end(self, job_id: str | None, call: CoreCall) -> None:
        """That was the job's end: tell it and write the history."""
        queue = self._queue
        # One step under the mutex: whoever is told of the end and asks for the history finds it there.
        with queue.mutex:
            if job_id is not None:
                wiring = queue.expeditor
                canceled = wiring.canceled.pop(job_id, None)
                word = None if canceled is None else last_word(canceled, canceled.finished_at_s or wiring.clock())
                wiring.told.end_of_run(job_id, restored=job_id in wiring.from_store, instead=word)
                wiring.from_store.discard(job_id)
                call = call if word is None else call.saying(word)
            item = queue.currently_running.get(call.counter)
            self._core_task_done(call.counter, call.result, *call.args, **call.kwargs)
            if job_id is not None and job_id in queue.expeditor.guests:
                queue.history.pop(job_id, None)  # its own instance shows it
                self._leaves(job_id)
            elif job_id in queue.expeditor.to_list and item is not None:
                # Somebody was quick to have it run again: it could not be listed while it ran.
                queue.expeditor.to_list.discard(job_id)
                queue.list_again(item)

    def tell_settled(self) -> None:
        """End the jobs whose owed end is committed by now."""
        dispatch = self._queue.expeditor.dispatch
        for job_id in dispatch.lost():
            call = self._owed.pop(job_id, None)
            if call is not None:
                self._let_go(job_id, call.counter)
        self._end_owed(dispatch.settled())

    def give_up(self) -> None:
        """The queue is core's again: what is owed ends as it would without us."""
        self._end_owed(tuple(self._owed))

    def _end_owed(self, job_ids: Iterable[str]) -> None:
        for job_id in job_ids:
            call = self._owed.pop(job_id, None)
            if call is not None:
                self.end(job_id, call)

    def _settle(self, job_id: str, call: CoreCall) -> Settled:
        wiring, status = self._queue.expeditor, call.status
        try:
            return wiring.dispatch.finish(
                job_id,
                bool(getattr(status, "completed", False)),
                list(getattr(status, "messages", None) or ()),
                call.result.get("outputs") or {},
                kept_json(status, call.result, wiring.told.history_max_bytes),
            )
        except Exception:  # noqa: BLE001 - a bug of ours must neither kill the worker thread nor cost core its history
            log.exception("The end of a run was not settled", extra={"event": "finish.failed", "job_id": job_id})
            return Settled.ENDED

    def _put_back(self, job_id: str, counter: int) -> bool:
        """False if the job has ended after all: its cancellation came first, and the store's answer too late."""
        queue, wiring = self._queue, self._queue.expeditor
        with queue.mutex:
            if job_id in wiring.canceled:
                return False
            # The copy that was kept for listing: the run has changed the item it was given.
            item = queue.currently_running.pop(counter)
            wiring.told.endings.put_back(job_id)
            wiring.on_machine.discard(job_id)
            if job_id in wiring.guests:
                self._leaves(job_id)
            elif job_id not in wiring.left and job_id not in wiring.elsewhere:
                queue.queue.append(item)
            wiring.left.discard(job_id)
            wiring.to_list.discard(job_id)
            queue.server.queue_updated()
            queue.wake()
            return True

    def _let_go(self, job_id: str, counter: int) -> None:
        """The job is another instance's by now: what ran here is told to nobody. It is listed if it waits again."""
        queue, wiring = self._queue, self._queue.expeditor
        with queue.mutex:
            item = queue.currently_running.pop(counter, None)
            wiring.told.endings.put_back(job_id)
            wiring.canceled.pop(job_id, None)
            wiring.on_machine.discard(job_id)
            wiring.left.discard(job_id)
            if job_id in wiring.guests:
                self._leaves(job_id)
            elif job_id in wiring.to_list and item is not None:
                queue.queue.append(item)
            wiring.to_list.discard(job_id)
            queue.server.queue_updated()
            queue.wake()

    def _leaves(self, job_id: str) -> None:
        wiring = self._queue.expeditor
        wiring.guests.discard(job_id)
        if wiring.abroad is not None:
            wiring.abroad.forget(job_id)
