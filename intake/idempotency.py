"""A repeated request gets the job of the first one, and nothing runs twice.

The store remembers which job a key stands for, in the commit of that job: that alone makes it safe, also across a crash. What is
owned here is the time before that commit: of requests with one key that come together, one goes on and the others wait for what
becomes of it. Knows neither HTTP nor how a job enters. All of it runs on one event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Protocol, TypeVar

from ..jobs.awaiting import Awaiter
from ..jobs.errors import ExpeditorError, Gone, StoreUnavailable
from ..jobs.model import Job, Principal, RequestKey
from ..store.base import KeyedJob, StoreState
from .request_keys import other_body

T = TypeVar("T")
Place = tuple[str, str]
"""A principal's name and its key."""


class KeyedStore(Protocol):
    """What is asked of ``store``."""

    def state(self) -> StoreState:
        """How the store is."""
        ...

    def keyed(self, principal: str, key: str) -> Future[KeyedJob | None]:
        """The job that a key stands for."""
        ...

    def get(self, job_id: str) -> Future[Job | None]:
        """One job, or None."""
        ...


class Reservations:
    """Who of several requests with one key may go on: one at a time, until one got its job in; then the others hear which.

    Keeps nothing of a key once nobody is there.
    """

    def __init__(self, wait_s: float) -> None:
        """``wait_s`` bounds the wait for the requests before."""
        self._wait_s = wait_s
        self._queues: dict[Place, deque[asyncio.Future[KeyedJob | None]]] = {}

    async def take(self, place: Place) -> KeyedJob | None:
        """The job that a request before this one got; or None: go on, and call ``settle`` when it is over, however it ends.

        Raises ``StoreUnavailable`` when the requests before take too long. A caller that is cancelled holds nothing.
        """
        queue = self._queues.get(place)
        if queue is None:
            self._queues[place] = deque()
            return None
        turn: asyncio.Future[KeyedJob | None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            # Not wait_for: when the turn comes at the very moment at which the caller goes, it must be seen below.
            await asyncio.wait((turn,), timeout=self._wait_s)
        except asyncio.CancelledError:
            self._leave(place, turn)
            raise
        if not turn.done():
            self._leave(place, turn)
            raise StoreUnavailable(
                f"An earlier request with the same key has had no answer for {self._wait_s:g} s. Send it again later."
            )
        return turn.result()

    def settle(self, place: Place, got: KeyedJob | None) -> None:
        """The one who went on is done: with a job, which all that wait hear of, or without, and the next one goes on."""
        queue = self._queues[place]
        if got is None and queue:
            queue.popleft().set_result(None)
            return
        del self._queues[place]
        for turn in queue:
            turn.set_result(got)

    @property
    def held(self) -> int:
        """How many keys somebody holds now."""
        return len(self._queues)

    def _leave(self, place: Place, turn: asyncio.Future[KeyedJob | None]) -> None:
        if not turn.done():
            self._queues[place].remove(turn)
        elif turn.result() is None:
            self.settle(place, None)


class Turn:
    """One request's way in: ``earlier`` is the job that its key stands for already. Leave it as a context manager, or ``close`` it."""

    def __init__(self, earlier: Job | None = None, settle: Callable[[str | None], None] | None = None) -> None:
        """``settle`` is told once, at the end, which job the request got in; None for a turn on which nobody waits."""
        self.earlier = earlier
        self._settle = settle
        self._job_id: str | None = None

    def done(self, job_id: str) -> None:
        """The request got this job in."""
        self._job_id = job_id

    def close(self) -> None:
        """The request is over; idempotent."""
        settle, self._settle = self._settle, None
        if settle is not None:
            settle(self._job_id)

    def __enter__(self) -> Turn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Repeats:
    """Finds out whether a request is a repeated one. Fits ``host.ports.Repeats``."""

    def __init__(self, store: KeyedStore, awaiter: Awaiter, reservations: Reservations) -> None:
        """``awaiter`` waits for the store."""
        self._store = store
        self._awaiter = awaiter
        self._reservations = reservations

    async def turn(self, principal: Principal, key: RequestKey) -> Turn:
        """Wait for requests with the same key before this one, then look the key up; close what comes back.

        Raises ``Conflict`` when the key stands for a job of another body, ``Gone`` when that job was pruned, and
        ``StoreUnavailable``. While the store is not open (Expeditor stands down) nothing is remembered: no request is a repeat.
        """
        return (await self.turn_while(principal, key, _nothing))[0]

    async def turn_while(
        self, principal: Principal, key: RequestKey, work: Callable[[], Awaitable[T]]
    ) -> tuple[Turn, T | None]:
        """As ``turn``; ``work``, which changes nothing, is done while the store looks the key up, and comes back too.

        A repeat has None of it: what ``work`` refuses is raised for other requests alone.
        """
        if not self._store.state().open:
            return Turn(), await work()
        place = (principal.name, key.key)
        known, done = await self._reservations.take(place), None
        if known is None:
            with ExitStack() as leaving:
                leaving.callback(self._reservations.settle, place, None)
                asked, refusal = self._store.keyed(*place), None
                try:
                    done = await work()
                except ExpeditorError as error:
                    refusal = error
                known = await self._awaiter.settled(asked)
                if known is None and refusal is not None:
                    raise refusal
                leaving.pop_all()
            if known is None:
                return Turn(settle=partial(self._settle, place, key)), done
            self._reservations.settle(place, known)
        return Turn(await self._job(known, key)), None

    def _settle(self, place: Place, key: RequestKey, job_id: str | None) -> None:
        self._reservations.settle(place, None if job_id is None else KeyedJob(job_id, key.fingerprint))

    async def _job(self, known: KeyedJob, key: RequestKey) -> Job:
        if known.fingerprint != key.fingerprint:
            raise other_body(key, known.job_id)
        job = await self._awaiter.settled(self._store.get(known.job_id))
        if job is None:
            raise Gone(f"Job {known.job_id} was pruned.", details={"job_id": known.job_id})
        return job


async def _nothing() -> None:
    """No work."""
