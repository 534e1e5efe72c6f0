"""What our other rooms ask of ComfyUI's queue, whoever owns it at that moment.

Owns only that nothing happens where the queue is not ours: asked before the swap, after another pack has replaced it, or in a
process without one. What each call does stands in ``queue``. Safe from any thread.
"""

from __future__ import annotations

import threading
from typing import Any

from .native import NativeItem
from .ownership import our_queue


class LiveQueue:
    """The queue of one server as it is when it is asked. Fits ``dispatch.ports.Interrupter``."""

    def __init__(self, server: Any) -> None:
        """``server`` is ComfyUI's ``PromptServer``."""
        self._server = server

    def wake(self) -> None:
        """Have the worker thread look again: the order or the set of waiting jobs changed."""
        queue = our_queue(self._server)
        if queue is not None:
            queue.wake()

    def interrupt(self, job_id: str) -> bool:
        """Interrupt the job if it is the one that runs; says whether it was."""
        queue = our_queue(self._server)
        return queue is not None and queue.interrupt(job_id)

    def running_item(self, job_id: str) -> NativeItem | None:
        """The untouched item of a job that our queue runs now."""
        queue = our_queue(self._server)
        return None if queue is None else queue.running_item(job_id)

    def results_came_home(self) -> None:
        """End the jobs whose results came home while the next one runs: on a thread of its own, for the worker's is busy."""
        threading.Thread(target=self._end_arrived, name="expeditor-homecoming", daemon=True).start()

    def _end_arrived(self) -> None:
        queue = our_queue(self._server)
        if queue is not None:
            queue.expeditor.dispatch.settle_arrived()
            queue.run_ends.tell_settled()
            queue.wake()

    def close_claims(self) -> bool:
        """Let the worker thread claim no more; says whether it could before."""
        queue = our_queue(self._server)
        return queue is not None and queue.close_claims()

    def open_claims(self) -> None:
        """Let the worker thread claim."""
        queue = our_queue(self._server)
        if queue is not None:
            queue.open_claims()
