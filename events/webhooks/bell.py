"""What a loop sleeps on: it goes on when somebody rings, or when its time is over. Not ``asyncio.wait_for``, which before Python 3.12
may swallow the cancellation of whoever is woken at the same moment: the loop would then never end."""

from __future__ import annotations

import asyncio


class Bell:
    """For one sleeper, on one event loop."""

    def __init__(self) -> None:
        """Nobody has rung yet."""
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake the sleeper, or whoever sleeps next."""
        self._rung.set()

    async def rest(self, most_s: float) -> None:
        """Until somebody rings, also if that was before; ``most_s`` at most."""
        timer = asyncio.get_running_loop().call_later(most_s, self._rung.set)
        try:
            await self._rung.wait()
        finally:
            timer.cancel()
        self._rung.clear()
