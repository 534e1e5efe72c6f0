"""ComfyUI's queue with our order in it: the class that is swapped into the one ``PromptQueue`` object of a server.

Owns the in-memory list that ComfyUI's own routes read, kept in step with the store: an item is listed from ``put`` on,
claimable once its row is committed, and chosen by the store's order inside ``get``. No I/O happens under the mutex. ``get``
returns None on timeout and when a flag was set, as core's worker needs. Owns when core's history is written and a run's last
words are told: at the committed end of the job. Does not own order, durability or verdicts; what happens to jobs in the
store otherwise is brought here by ``listing``.

After ``stand_down`` every method is core's again, on the same list.
"""

from __future__ import annotations

import copy
import heapq
import logging
import threading
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

from ..jobs.belonging import is_home
from ..jobs.errors import ExpeditorError, NotFound, StoreUnavailable
from ..jobs.model import Cause, Claim, Job, JobError, JobStatus, NewBatch, NewJob
from .context import SUBMISSION, can_be_told, remember_commit, remember_refusal
from .native import NativeItem, as_guest, from_both_ends, item_client, item_id, item_of, take_out, with_client_id
from .run_ends import CoreCall, RunEnds
from .sanitise import json_safe
from .shown import ShownQueue
from .wiring import QueueWiring

log = logging.getLogger("expeditor.host")

STORE_RETRY_S = 1.0
"""How long the worker waits before it asks an unavailable store again."""

OTHERS_LOOK_S = 5.0
"""How often a shared queue is looked at unasked: whoever puts something in wakes the worker, but a word may be lost."""


class ExpeditorQueue(ShownQueue):
    """See the module's docstring. Made by ``ownership.swap_queue``, never by a constructor call."""

    expeditor: QueueWiring
    run_ends: RunEnds

    def put(self, item: NativeItem) -> None:
        """List the item and have it stored; it can be claimed once committed. A request that is refused hears it as its commit."""
        wiring = self.expeditor
        if wiring.stood_down and self._put_as_core(item):
            return
        job = wiring.new_job(item, SUBMISSION.get())
        refusable = can_be_told()
        try:
            commit_done = wiring.depth.enter(job, refusable=refusable)
        except ExpeditorError as refusal:
            remember_refusal(refusal)
            return
        self._list((item,))
        remember_commit(self._store(item, replace(job, must_enter=not refusable), commit_done))

    def put_all(self, batch: NewBatch, items: Sequence[NativeItem], jobs: Sequence[NewJob]) -> Future[tuple[Job, ...]]:
        """List the items of a batch and have all of them stored in one commit; all are off the list again if they cannot be.

        Raises ``Busy`` or ``Refused`` when there is no room for all; then none is listed.
        """
        wiring = self.expeditor
        with self.mutex:
            if wiring.stood_down:
                raise StoreUnavailable("ComfyUI's queue is not Expeditor's any more.", retry_after_s=60)
            commit_done = wiring.depth.enter_all(jobs)
            self._list(items)
        commit = wiring.line.enqueue_all(batch, jobs)
        commit.add_done_callback(lambda _: commit_done())
        commit.add_done_callback(partial(self._committed, items))
        return commit

    def get(self, timeout: float | None = None) -> tuple[NativeItem, int] | None:
        """The item to run now with its counter, or None on timeout or when a flag was set."""
        wiring = self.expeditor
        wiring.worker = threading.current_thread()
        wiring.told.between_runs()
        while True:
            with self.not_empty:
                if wiring.stood_down and not self.queue:
                    self.not_empty.wait(timeout=timeout)
                if wiring.stood_down:
                    # Under the mutex and without a wait inside core's: what `stand_up` has taken over is not popped.
                    return super().get(timeout=timeout) if self.queue else None
                if not self._claimable():
                    self.not_empty.wait(timeout=self._patience(timeout))
                    wiring.others_wait = wiring.origin is not None
                if wiring.stood_down:
                    continue
                if not self._claimable() and not wiring.dispatch.owes():
                    return None
                wakes = wiring.wakes
            try:
                # What is owed is settled also when claims are closed, as while the process is asked to stop.
                claim = wiring.claim()
            except StoreUnavailable as error:
                return self._wait_for_store(error)
            finally:
                self.run_ends.tell_settled()
            wiring.store_away = False
            if claim is None:
                return self._wait_for_work(wakes)
            taken = self._take(claim)
            if taken is not None:
                return taken

    def task_done(self, item_id: int, history_result: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """Settle the run in the store; let core write its history if that was the job's end. Never raises for our part."""
        with self.mutex:
            running = self.currently_running.get(item_id)
        call = CoreCall(item_id, json_safe(history_result), args, kwargs)
        job_id = None if running is None else str(running[1])
        if job_id is None or self.expeditor.stood_down or item_id in self.expeditor.cores_own:
            self.expeditor.cores_own.discard(item_id)
            self.run_ends.end(job_id, call)
        else:
            self.run_ends.done(job_id, call)

    def wipe_queue(self) -> None:
        """Cancel all waiting jobs."""
        with self.mutex:
            waiting = list(self.queue)
            super().wipe_queue()
            if not self.expeditor.stood_down:
                self.expeditor.deleted.update(item_id(item) for item in waiting)
        self._cancel(waiting)

    def delete_queue_item(self, function: Callable[[NativeItem], bool]) -> bool:
        """Cancel the first waiting job that ``function`` picks; says whether there was one."""
        if self.expeditor.stood_down:
            return super().delete_queue_item(function)
        with self.mutex:
            picked = next((item for item in self.queue if function(item)), None)
            if picked is None:
                return False
            self._drop(picked)
            self.expeditor.deleted.add(item_id(picked))
        self._cancel([picked])
        return True

    # --- ours -------------------------------------------------------------------------------------------------------

    def restore(self, items: list[NativeItem], parked: AbstractSet[str] = frozenset()) -> None:
        """List jobs that the store recovered; they are committed already, and validated again before they run. ``parked``: those of them
        that wait for people."""
        with self.mutex:
            self.expeditor.parked.update(parked)
            self.expeditor.restored = True
            self.queue.extend(items)
            self.expeditor.from_store.update(item_id(item) for item in items)
            self.server.queue_updated()

    def list_again(self, item: NativeItem) -> None:
        """List a job whose item comes from the store, unless it is listed or runs; what was its end is history no more."""
        job_id = item_id(item)
        with self.mutex:
            if any(item_id(other) == job_id for other in (*self.queue, *self.currently_running.values())):
                return
            self.queue.append(item)
            self.expeditor.from_store.add(job_id)
            self.history.pop(job_id, None)
            self.server.queue_updated()
            self.wake()

    def open_claims(self) -> None:
        """Let the worker thread claim."""
        with self.mutex:
            self.expeditor.open = self.expeditor.restored = True
            self.not_empty.notify_all()

    def close_claims(self) -> bool:
        """Let the worker thread claim no more; says whether it could before."""
        with self.mutex:
            was_open, self.expeditor.open = self.expeditor.open, False
            return was_open

    def stand_down(self) -> None:
        """Become core's queue again, on the same list."""
        with self.mutex:
            self.expeditor.stood_down = True
            self.run_ends.give_up()
            heapq.heapify(self.queue)
            self.not_empty.notify_all()

    def stand_up(self) -> None:
        """Be ours again after standing down. What came in meanwhile is stored now; what core runs, core ends."""
        wiring = self.expeditor
        with self.mutex:
            came_in = self.queue[:] = sorted(self.queue, key=lambda item: item[0])
            jobs = [wiring.new_job(item, None) for item in came_in]
            wiring.arriving.update(job.id for job in jobs)
            wiring.uncommitted.extend(came_in)
            wiring.cores_own.update(self.currently_running)
            wiring.stood_down = False
        for item, job in zip(came_in, jobs, strict=True):
            self._store(item, replace(job, must_enter=True), wiring.depth.enter(job, refusable=False))

    def remove(self, job_ids: AbstractSet[str]) -> dict[str, NativeItem]:
        """Take jobs that ended in the store off the list; gives back the items of those that were listed. Nobody is told."""
        with self.mutex:
            gone = [item for item in self.queue if item_id(item) in job_ids and not self._is_uncommitted(item)]
            if gone:
                taken = {id(item) for item in gone}
                self.queue[:] = [item for item in self.queue if id(item) not in taken]
            return {item_id(item): item for item in gone}

    def take_off(self, job_id: str) -> NativeItem | None:
        """Take a committed job off the list and give back its item, also where its own ``put`` has not heard of the commit yet."""
        with self.mutex:
            found = [item for item in self.queue if item_id(item) == job_id]
            picked = next((item for item in found if not self._is_uncommitted(item)), None) or next(iter(found), None)
            if picked is not None:
                take_out(self.queue, picked)
                take_out(self.expeditor.uncommitted, picked)
            return picked

    def wake(self) -> None:
        """Have the worker thread look at the queue again."""
        with self.mutex:
            self.expeditor.wakes += 1
            self.expeditor.others_wait = self.expeditor.origin is not None
            self.not_empty.notify_all()

    def _put_as_core(self, item: NativeItem) -> bool:
        with self.mutex:  # `stand_up` takes over what is listed by now, and all that comes later is ours
            if self.expeditor.stood_down:
                super().put(item)
            return self.expeditor.stood_down

    def _store(self, item: NativeItem, job: NewJob, commit_done: Callable[[], None]) -> Future[Job]:
        """Have a listed item stored; it is off the list again if it cannot be."""
        commit = self.expeditor.line.enqueue(job)
        commit.add_done_callback(lambda _: commit_done())
        commit.add_done_callback(partial(self._committed, (item,)))
        return commit

    def _list(self, items: Sequence[NativeItem]) -> None:
        self.expeditor.arriving.update(item_id(item) for item in items)
        with self.mutex:
            self.queue.extend(items)
            self.expeditor.uncommitted.extend(items)
            self.server.queue_updated()

    def _claimable(self) -> bool:
        return self.expeditor.open and (self._some_listed() or self.expeditor.others_wait)

    def _some_listed(self) -> bool:
        return len(self.queue) > len(self.expeditor.uncommitted)

    def _patience(self, timeout: float | None) -> float | None:
        # What is owed to the store (an ending, a late claim) is tried again soon, also when nothing waits.
        if self.expeditor.dispatch.owes():
            return STORE_RETRY_S if timeout is None else min(timeout, STORE_RETRY_S)
        if self.expeditor.origin is None:
            return timeout
        return OTHERS_LOOK_S if timeout is None else min(timeout, OTHERS_LOOK_S)

    def _wait_for_work(self, wakes: int) -> None:
        # What is listed is not claimable (held, delayed, paused, or taken away meanwhile): wait as for an empty queue.
        with self.not_empty:
            if self.expeditor.wakes != wakes:
                return
            self.expeditor.others_wait = False
            if self._some_listed() or self.expeditor.origin is None:
                self.not_empty.wait(timeout=STORE_RETRY_S)

    def _wait_for_store(self, error: ExpeditorError) -> None:
        if not self.expeditor.store_away:
            extra = {"event": "claim.unavailable", "code": error.code}
            log.warning("No job can be claimed until the store is back: %s", error.message, extra=extra)
        self.expeditor.store_away = True
        with self.not_empty:
            self.not_empty.wait(timeout=STORE_RETRY_S)

    def _take(self, claim: Claim) -> tuple[NativeItem, int] | None:
        job_id = claim.job.id
        fault = self._disproved(claim)
        with self.mutex:
            # One step under the mutex, as in core: the job is always either listed or running.
            item = self._listed(claim)
            self.expeditor.elsewhere.pop(job_id, None)
            if not is_home(claim.job, self.expeditor.origin):
                item = as_guest(item)
                self.expeditor.guests.add(job_id)
            if job_id in self.expeditor.deleted:
                started = None
            elif fault is not None:
                self._drop(item)
                started = fault
            else:
                started = self._start(item)
            if not isinstance(started, int):
                # No run will tell its end: ``listing`` does, once it is committed.
                self.expeditor.on_machine.discard(job_id)
                self.expeditor.guests.discard(job_id)
            elif job_id in self.expeditor.guests and self.expeditor.abroad is not None:
                self.expeditor.abroad.begin(claim.job)
        if isinstance(started, int):
            return (with_client_id(item), started)
        if started is None:
            # Deleted from the list between the claim's commit and now.
            self.expeditor.dispatch.withdraw(job_id)
            self.expeditor.line.forget_history((job_id,))
        else:
            self.expeditor.dispatch.refuse(job_id, started)
        return None

    def _listed(self, claim: Claim) -> NativeItem:
        items = (self.queue[place] for place in from_both_ends(len(self.queue)))
        # Not one of the same id that is just being refused.
        found = (item for item in items if item_id(item) == claim.job.id and not self._is_uncommitted(item))
        # It may have come back from another instance a moment ago, which is not heard yet.
        away = self.expeditor.elsewhere.get(claim.job.id)
        return next(found, None) or away or item_of(claim.job, claim.payload)

    def _disproved(self, claim: Claim) -> JobError | None:
        wiring = self.expeditor
        if wiring.proof is None or claim.job.id not in wiring.from_store:
            return None
        with self.mutex:
            item = self._listed(claim)
        return wiring.proof(item)

    def _start(self, item: NativeItem) -> int | JobError:
        """The run's counter, or why the item could not be copied."""
        self._drop(item, tell=False)
        try:
            shown = copy.deepcopy(item)
        except Exception as error:  # noqa: BLE001 - a prompt that cannot be copied must not kill the worker thread
            fault = f"ComfyUI could not copy the prompt ({type(error).__name__}); it is nested too deeply."
            return JobError(code=Cause.NODE_ERROR.value, message=fault)
        counter = self.task_counter
        self.currently_running[counter] = shown
        self.expeditor.told.endings.begin(item_id(item), item_client(item))
        self.task_counter += 1
        self.server.queue_updated()
        return counter

    def _committed(self, items: Sequence[NativeItem], commit: Future[Any]) -> None:
        error, wiring = commit.exception(), self.expeditor
        with self.mutex:
            wiring.arriving.difference_update(item_id(item) for item in items)
            take_out(wiring.uncommitted, *items)
            # Some may have been committed together with their end.
            gone = items if error is not None else [item for item in items if item_id(item) in wiring.left]
            wiring.left.difference_update(item_id(item) for item in items)
            if gone:
                self._drop(*gone)
            if error is None:
                self.wake()
                return
        extra = {"event": "put.refused", "job_id": item_id(items[0]), "jobs": len(items)}
        log.warning("A prompt was not accepted because it could not be stored: %s", error, extra=extra)

    def _cancel(self, items: list[NativeItem]) -> None:
        wiring = self.expeditor
        if wiring.stood_down or not items:
            return
        for item in items:
            commit = wiring.line.cancel(item_id(item))
            commit.add_done_callback(partial(self._canceled, item))
            remember_commit(commit)
        # As in core, what is deleted leaves no trace in the history, also not after a restart.
        wiring.line.forget_history(tuple(item_id(item) for item in items))

    def _canceled(self, item: NativeItem, commit: Future[Job]) -> None:
        job_id = item_id(item)
        error = commit.exception()
        if error is None and commit.result().status is JobStatus.CANCELING:
            return  # claimed just before: the worker finds it among the deleted and does not start it
        with self.mutex:
            self.expeditor.deleted.discard(job_id)
            refused = error is not None and not isinstance(error, NotFound)  # NotFound: its own commit had failed
            if refused:
                # The job is still in the line: what is not listed would wait for ever when nothing else comes.
                self.queue.append(item)
                self.server.queue_updated()
                self.wake()
        if refused:
            log.warning("A deletion was not stored: %s", error, extra={"event": "delete.refused", "job_id": job_id})

    def _drop(self, *items: NativeItem, tell: bool = True) -> None:
        take_out(self.queue, *items)
        if tell:
            self.server.queue_updated()

    def _is_uncommitted(self, item: NativeItem) -> bool:
        return any(other is item for other in self.expeditor.uncommitted)
