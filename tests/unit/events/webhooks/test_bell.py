"""What the loops sleep on: woken by a ring or by time, and always ended by a cancellation."""

from __future__ import annotations

import asyncio

import pytest

from expeditor.events.webhooks.bell import Bell

NEVER_S = 60.0


async def test_a_ring_wakes_also_one_who_comes_later_and_only_once():
    bell = Bell()
    bell.ring()
    await asyncio.wait_for(bell.rest(NEVER_S), 10)
    rest = asyncio.ensure_future(bell.rest(NEVER_S))
    await asyncio.wait((rest,), timeout=0.05)
    assert not rest.done()
    bell.ring()
    await asyncio.wait_for(rest, 10)


async def test_time_wakes():
    await asyncio.wait_for(Bell().rest(0.01), 10)


@pytest.mark.parametrize("steps", range(6))
async def test_who_is_cancelled_at_the_moment_it_is_woken_ends(steps):
    bell = Bell()
    rest = asyncio.ensure_future(bell.rest(NEVER_S))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bell.ring()
    for _ in range(steps):
        await asyncio.sleep(0)
    if rest.cancel():
        with pytest.raises(asyncio.CancelledError):
            await rest
