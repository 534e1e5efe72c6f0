"""Waiting for something to become true, with a deadline: the only place of the tests that sleeps.

Owns the two polling loops, for threads and for coroutines. Does not know what is waited for: the predicate's
value is handed back, so `row = wait_until(lambda: find(...))` both waits and fetches.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_S = 20.0
POLL_S = 0.01


def wait_until(predicate: Callable[[], T], deadline_s: float = DEADLINE_S, poll_s: float = POLL_S, what: str = "") -> T:
    """The first truthy value of `predicate`, asked every `poll_s`; AssertionError once `deadline_s` has passed."""
    end = time.monotonic() + deadline_s
    while not (value := predicate()):
        if time.monotonic() >= end:
            raise AssertionError(_missed(what, deadline_s, value))
        time.sleep(poll_s)
    return value


async def wait_until_async(
    predicate: Callable[[], Awaitable[T] | T], deadline_s: float = DEADLINE_S, poll_s: float = POLL_S, what: str = ""
) -> T:
    """As `wait_until`, on the event loop; `predicate` may be a plain or a coroutine function."""
    end = time.monotonic() + deadline_s
    while True:
        answer = predicate()
        value: T = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(_missed(what, deadline_s, value))
        await asyncio.sleep(poll_s)


def _missed(what: str, deadline_s: float, last: object) -> str:
    return f"{what or 'the awaited condition'} did not come true within {deadline_s} s; last value: {last!r}"
