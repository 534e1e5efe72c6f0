"""Stock ``/interrupt`` for jobs that were submitted here and run on another instance, or are parked: cancelled through the store.

Does not own runs on this machine: those are ComfyUI's own to interrupt.
"""

from __future__ import annotations

import json
from typing import Any

from .ownership import our_queue
from .sanitise import fields_of


class Interrupts:
    """What the middleware asks before ComfyUI's own handler."""

    def __init__(self, server: Any) -> None:
        """``server`` is ComfyUI's ``PromptServer``."""
        self._server = server

    def reach(self, raw: bytes) -> bool:
        """Cancel what the body of an interruption means of the jobs elsewhere; whether that was all that it meant.

        The request may wait for the commits (``context.COMMITS``).
        """
        queue = our_queue(self._server)
        if queue is None:
            return False
        try:
            wanted = fields_of(json.loads(raw or b"{}")).get("prompt_id")
        except (ValueError, RecursionError):
            wanted = None
        if wanted:
            return queue.cancel_elsewhere(str(wanted))
        for job_id in tuple(queue.expeditor.elsewhere):
            queue.cancel_elsewhere(job_id)
        return False
