"""Waiting on the event loop for a future that another thread completes, with a deadline. No I/O of its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TypeVar

from .errors import StoreUnavailable

_T = TypeVar("_T")


async def settled(future: Future[_T], deadline_s: float, advice: str = "") -> _T:
    """The future's result, or what it failed with.

    ``StoreUnavailable`` after ``deadline_s``; what was asked of the store may still happen then, which ``advice`` can tell.
    A caller that is cancelled meanwhile cancels nothing. (Not ``wait_for(wrap_future(...))``: that makes a task and two more
    futures for each of many submits.)
    """
    if not future.done():
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()

        def release() -> None:
            if not waiter.done():
                waiter.set_result(None)

        future.add_done_callback(lambda _: loop.call_soon_threadsafe(release))
        timer = loop.call_later(deadline_s, release)
        try:
            await waiter
        finally:
            timer.cancel()
    if not future.done():
        raise StoreUnavailable(f"The store did not answer within {deadline_s:.3g} s. {advice}".rstrip())
    return future.result()
