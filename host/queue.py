"""ComfyUI's queue with our order in it: the class that is swapped into the one ``PromptQueue`` object of a server.

Owns the in-memory list that ComfyUI's own routes read, kept in step with the store: an item is listed from ``put`` on,
claimable once its row is committed, and chosen by the store's order inside ``get``. No I/O happens under the mutex. ``get``
returns None on timeout and when a flag was set, as core's worker needs. Does not own order, durability or verdicts.

After ``stand_down`` every method is core's again, on the same list.
"""

from __future__ import annotations

import copy
import heapq
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import execution
import nodes

from ..jobs.errors import ExpeditorError, NotFound, StoreUnavailable
from ..jobs.model import Claim, Job, JobStatus
from .context import SUBMISSION, can_be_told, remember_commit, remember_refusal
from .native import NativeItem, native_item, new_job, with_client_id
from .sanitise import json_safe
from .wiring import QueueWiring

log = logging.getLogger("expeditor.host")

STORE_RETRY_S = 1.0
"""How long the worker waits before it asks an unavailable store again."""


class ExpeditorQueue(execution.PromptQueue):
    """See the module's docstring. Made by ``ownership.swap_queue``, never by a constructor call."""

    expeditor: QueueWiring

    def put(self, item: NativeItem) -> None:
        """List the item and have it stored; it can be claimed once committed. A request that is refused hears it as its commit."""
        wiring = self.expeditor
        if wiring.stood_down:
            super().put(item)
            return
        job = new_job(item, SUBMISSION.get(), wiring.clock())
        try:
            commit_done = wiring.depth.enter(job, refusable=can_be_told())
        except ExpeditorError as refusal:
            remember_refusal(refusal)
            return
        with self.mutex:
            self.queue.append(item)
            wiring.uncommitted.append(item)
            self.server.queue_updated()
        commit = wiring.line.enqueue(job)
        commit.add_done_callback(lambda _: commit_done())
        commit.add_done_callback(partial(self._committed, item))
        remember_commit(commit)

    def get(self, timeout: float | None = None) -> tuple[NativeItem, int] | None:
        """The item to run now with its counter, or None on timeout or when a flag was set."""
        wiring = self.expeditor
        wiring.worker = threading.current_thread()
        while True:
            with self.not_empty:
                if wiring.stood_down:
                    break
                if not self._claimable():
                    self.not_empty.wait(timeout=self._patience(timeout))
                if wiring.stood_down:
                    break
                if not self._claimable() and not wiring.dispatch.owes():
                    return None
            try:
                claim = wiring.dispatch.claim()
            except StoreUnavailable as error:
                return self._wait_for_store(error)
            wiring.store_away = False
            if claim is None:
                # What is listed is not claimable (held, or taken away meanwhile): wait as for an empty queue.
                with self.not_empty:
                    self.not_empty.wait(timeout=STORE_RETRY_S)
                return None
            taken = self._take(claim)
            if taken is not None:
                return taken
        return super().get(timeout=timeout)

    def task_done(self, item_id: int, history_result: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """Settle the run in the store, then let core write its history. Never raises into the worker thread for our part."""
        wiring = self.expeditor
        status = kwargs.get("status", args[0] if args else None)
        with self.mutex:
            running = self.currently_running.get(item_id)
        safe = json_safe(history_result)
        if running is not None and not wiring.stood_down:
            try:
                wiring.dispatch.finish(
                    running[1],
                    bool(getattr(status, "completed", False)),
                    list(getattr(status, "messages", None) or ()),
                    safe.get("outputs") or {},
                )
            except Exception:  # noqa: BLE001 - a bug of ours must neither kill the worker thread nor cost core its history
                log.exception(
                    "The end of a run was not settled", extra={"event": "finish.failed", "job_id": running[1]}
                )
        super().task_done(item_id, safe, *args, **kwargs)

    def wipe_queue(self) -> None:
        """Cancel all waiting jobs."""
        with self.mutex:
            waiting = list(self.queue)
            super().wipe_queue()
            if not self.expeditor.stood_down:
                self.expeditor.deleted.update(item[1] for item in waiting)
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
            self.expeditor.deleted.add(picked[1])
        self._cancel([picked])
        return True

    # --- ours -------------------------------------------------------------------------------------------------------

    def restore(self, items: list[NativeItem]) -> None:
        """List jobs that the store recovered; they are committed already."""
        with self.mutex:
            self.queue.extend(items)
            self.server.queue_updated()

    def open_claims(self) -> None:
        """Let the worker thread claim."""
        with self.mutex:
            self.expeditor.open = True
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
            heapq.heapify(self.queue)
            self.not_empty.notify_all()

    def remove(self, job_id: str) -> None:
        """Take a job that was cancelled in the store off the list."""
        with self.mutex:
            for item in [item for item in self.queue if item[1] == job_id]:
                self._drop(item)

    def wake(self) -> None:
        """Have the worker thread look at the queue again."""
        with self.mutex:
            self.not_empty.notify_all()

    def interrupt(self, job_id: str) -> bool:
        """Interrupt the job if it is the one that runs; says whether it was."""
        with self.mutex:
            if all(item[1] != job_id for item in self.currently_running.values()):
                return False
            nodes.interrupt_processing()
            return True

    def _claimable(self) -> bool:
        return self.expeditor.open and len(self.queue) > len(self.expeditor.uncommitted)

    def _patience(self, timeout: float | None) -> float | None:
        # What is owed to the store (an ending, a late claim) is tried again soon, also when nothing waits.
        if not self.expeditor.dispatch.owes():
            return timeout
        return STORE_RETRY_S if timeout is None else min(timeout, STORE_RETRY_S)

    def _wait_for_store(self, error: ExpeditorError) -> None:
        if not self.expeditor.store_away:
            extra = {"event": "claim.unavailable", "code": error.code}
            log.warning("No job can be claimed until the store is back: %s", error.message, extra=extra)
        self.expeditor.store_away = True
        with self.not_empty:
            self.not_empty.wait(timeout=STORE_RETRY_S)

    def _take(self, claim: Claim) -> tuple[NativeItem, int] | None:
        job_id = claim.job.id
        with self.mutex:
            # One step under the mutex, as in core: the job is always either listed or running.
            if job_id in self.expeditor.deleted:
                self.expeditor.deleted.discard(job_id)
                item = started = None
            else:
                item = next((item for item in self.queue if item[1] == job_id), None) or _from_store(claim)
                started = self._start(item)
        if item is None:
            # Deleted from the list between the claim's commit and now.
            self.expeditor.dispatch.withdraw(job_id)
        elif isinstance(started, int):
            return (with_client_id(item), started)
        else:
            fault = f"ComfyUI could not copy the prompt ({started}); it is nested too deeply."
            self.expeditor.dispatch.refuse(job_id, fault)
            self._write_refusal(item, fault)
        return None

    def _start(self, item: NativeItem) -> int | str:
        """The run's counter, or the name of what kept the item from being copied."""
        self._drop(item, tell=False)
        try:
            shown = copy.deepcopy(item)
        except Exception as error:  # noqa: BLE001 - a prompt that cannot be copied must not kill the worker thread
            return type(error).__name__
        counter = self.task_counter
        self.currently_running[counter] = shown
        self.task_counter += 1
        self.server.queue_updated()
        return counter

    def _write_refusal(self, item: NativeItem, message: str) -> None:
        messages = [
            (
                "execution_error",
                {"prompt_id": item[1], "exception_message": message, "timestamp": int(time.time() * 1000)},
            )
        ]
        with self.mutex:
            self.history[item[1]] = {
                "prompt": (item[0], item[1], {}, {}, []),
                "outputs": {},
                "status": {"status_str": "error", "completed": False, "messages": messages},
            }
            self.server.queue_updated()

    def _committed(self, item: NativeItem, commit: Future[Job]) -> None:
        error = commit.exception()
        with self.mutex:
            self._forget(self.expeditor.uncommitted, item)
            if error is None:
                self.not_empty.notify()
                return
            self._drop(item)
        log.warning(
            "A prompt was not accepted because it could not be stored: %s",
            error,
            extra={"event": "put.refused", "job_id": item[1]},
        )

    def _cancel(self, items: list[NativeItem]) -> None:
        wiring = self.expeditor
        if wiring.stood_down:
            return
        for item in items:
            commit = wiring.line.cancel(item[1])
            commit.add_done_callback(partial(self._canceled, item))
            remember_commit(commit)

    def _canceled(self, item: NativeItem, commit: Future[Job]) -> None:
        job_id = item[1]
        error = commit.exception()
        if error is None and commit.result().status is JobStatus.CANCELING:
            return  # claimed just before: the worker finds it among the deleted and does not start it
        with self.mutex:
            self.expeditor.deleted.discard(job_id)
            refused = error is not None and not isinstance(error, NotFound)  # NotFound: its own commit had failed
            if refused:
                # The job is still in the line: what is not listed would wait for ever when nothing else comes.
                self.restore([item])
                self.not_empty.notify()
        if refused:
            log.warning("A deletion was not stored: %s", error, extra={"event": "delete.refused", "job_id": job_id})

    def _drop(self, item: NativeItem, *, tell: bool = True) -> None:
        self._forget(self.queue, item)
        if tell:
            self.server.queue_updated()

    @staticmethod
    def _forget(items: list[NativeItem], item: NativeItem) -> None:
        # By identity: two items may be equal, and comparing prompts is slow.
        for index, other in enumerate(items):
            if other is item:
                del items[index]
                return


def _from_store(claim: Claim) -> NativeItem:
    try:
        return native_item(claim.job, claim.payload)
    except (ValueError, RecursionError):
        # Damaged: an empty prompt, which core ends at once, instead of a worker thread that dies.
        return (claim.job.number, claim.job.id, {}, {}, [], {})
