"""Waiting for what the store's thread completes: one wake-up for many, a deadline, and nothing lost when a waiter goes."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from expeditor.jobs.awaiting import Awaiter
from expeditor.jobs.errors import Conflict, StoreUnavailable


async def test_what_is_done_already_is_answered_at_once():
    future: Future = Future()
    future.set_result(5)
    assert await Awaiter(0.001).settled(future) == 5


async def test_many_completed_by_another_thread_are_all_answered():
    futures = [Future() for _ in range(200)]
    awaiter = Awaiter(30)
    waiting = asyncio.gather(*(awaiter.settled(future) for future in futures))

    def complete():
        for number, future in enumerate(futures):
            future.set_result(number)

    threads = [threading.Thread(target=complete)]
    await asyncio.sleep(0)  # let every waiter begin
    for thread in threads:
        thread.start()
    assert await waiting == list(range(200))


async def test_its_failure_is_the_callers():
    future: Future = Future()
    future.set_exception(Conflict("known"))
    with pytest.raises(Conflict, match="known"):
        await Awaiter(1).settled(future)


async def test_the_deadline_says_what_to_do():
    with pytest.raises(StoreUnavailable, match=r"within 0.01 s\. Ask again\."):
        await Awaiter(0.01).settled(Future(), "Ask again.")


async def test_a_caller_that_goes_cancels_nothing():
    future: Future = Future()
    awaiter = Awaiter(30)
    first = asyncio.ensure_future(awaiter.settled(future))
    second = asyncio.ensure_future(awaiter.settled(future))
    await asyncio.sleep(0)
    first.cancel()
    future.set_result("kept")
    assert await second == "kept"
    with pytest.raises(asyncio.CancelledError):
        await first
