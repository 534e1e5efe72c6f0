"""Waiting on the event loop for futures that another thread completes, with a deadline. No I/O of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future
from typing import TypeVar

from .errors import StoreUnavailable

_T = TypeVar("_T")


class Awaiter:
    """Waits for the store's futures, for all requests of one event loop.

    A group commit completes many futures at once; the loop is woken once for all of them. (Not
    ``wait_for(wrap_future(...))``: that makes a task, two more futures and a wake-up of the loop for each.)
    """

    def __init__(self, deadline_s: float) -> None:
        """``deadline_s`` bounds every wait."""
        self.deadline_s = deadline_s
        self._settled: deque[asyncio.Future[None]] = deque()
        self._waking = False

    async def settled(self, future: Future[_T], advice: str = "") -> _T:
        """The future's result, or what it failed with.

        ``StoreUnavailable`` after the deadline; what was asked of the store may still happen then, which ``advice``
        can tell. A caller that is cancelled meanwhile cancels nothing.
        """
        if not future.done():
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[None] = loop.create_future()
            future.add_done_callback(lambda _: self._wake(loop, waiter))
            timer = loop.call_later(self.deadline_s, _release, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
        if not future.done():
            raise StoreUnavailable(f"The store did not answer within {self.deadline_s:g} s. {advice}".rstrip())
        return future.result()

    def _wake(self, loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None]) -> None:
        # On the completing thread. First append, then look: a drain that runs in between has taken it, or is called again.
        self._settled.append(waiter)
        if not self._waking:
            self._waking = True
            loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._waking = False
        while self._settled:
            _release(self._settled.popleft())


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
