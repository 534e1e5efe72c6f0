"""Polls that are held: answered once the job's status has changed, or when their time is over.

Owns how long, and which changes count. A start alone is told a moment later: a job that ends within that moment is told of with
its end, and its client, which sleeps between polls, hears of it at once.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from ...jobs.transitions import is_terminal
from ..ports import Changes
from ..views import JobView
from .words import STATUS

AFTER_A_CHANGE_S = 0.25
"""How much longer a poll is held after a change that is no end."""


class HeldPolls:
    """See the module's docstring."""

    def __init__(self, changes: Changes, held_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Hold for ``held_s`` seconds at most; 0: not at all."""
        self._changes = changes
        self._held_s = held_s
        self._monotonic = monotonic

    async def until_changed(self, job_id: str, look: Callable[[str], Awaitable[JobView]]) -> JobView:
        """What ``look`` gives once the contract's status of the job is another one. What ``look`` raises at first it raises."""
        if self._held_s <= 0:
            return await look(job_id)
        with self._changes.watch(job_id) as watch:
            view = await look(job_id)
            word, until_s, old = STATUS[view.job.status], self._monotonic() + self._held_s, False
            while not is_terminal(view.job.status):
                left_s = until_s - self._monotonic()
                if left_s <= 0 or not await watch.changed(left_s) or watch.job is None:
                    break
                if is_terminal(watch.job.status):
                    return JobView(job=watch.job)
                old = True
                if STATUS[watch.job.status] != word:
                    word, until_s = STATUS[watch.job.status], min(until_s, self._monotonic() + AFTER_A_CHANGE_S)
        return await look(job_id) if old else view
