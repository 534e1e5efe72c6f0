"""Requests that are held until their job has ended (``?wait_s=``), or their time is up, or their client is gone.

Owns how long and what wakes them. A held request costs a place in a dictionary and blocks nobody; it keeps no job alive: one whose
client is gone runs on.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from ..jobs.errors import StoreUnavailable
from ..jobs.transitions import is_terminal
from .job_views import JobViews
from .ports import Changes
from .views import JobView

LOOK_EVERY_S = 1.0
"""How long a client may be gone before it is seen: nothing tells a handler that its connection was closed."""


class HeldRequests:
    """See the module's docstring. On the event loop."""

    def __init__(
        self,
        changes: Changes,
        views: JobViews,
        *,
        monotonic: Callable[[], float] = monotonic,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        """``monotonic`` measures the wait."""
        self._changes = changes
        self._views = views
        self._monotonic = monotonic
        self._look_every_s = look_every_s

    async def until_ended(self, job_id: str, wait_s: float, gone: Callable[[], bool]) -> JobView:
        """The job once it has ended, or as it stands after ``wait_s``, or when ``gone`` says that nobody waits any more.

        Raises ``NotFound`` and ``Gone`` at once, and ``StoreUnavailable``.
        """
        until_s = self._monotonic() + wait_s
        with self._changes.watch(job_id) as watch:
            job = await self._views.known(job_id)
            while not is_terminal(job.status) and not gone():
                left_s = until_s - self._monotonic()
                if left_s <= 0:
                    break
                if await watch.changed(min(left_s, self._look_every_s)):
                    job = await self._views.known(job_id)
        return await self._views.one(job)

    async def until_ended_from(self, view: JobView, wait_s: float, gone: Callable[[], bool]) -> JobView:
        """The same for a job that was accepted by this very request: a store that is away takes that back by no error."""
        try:
            return await self.until_ended(view.job.id, wait_s, gone)
        except StoreUnavailable:
            return view
