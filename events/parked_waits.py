"""Answers to parked jobs: stored before anybody hears that they were taken.

Owns the way of an answer into the store, and that the mailbox keeps step with what becomes of parked jobs. Does not own which wait a
message is for (``mailbox``), nor when a job is parked (``host.parking``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Protocol

from ..jobs.errors import Gone, NotFound, StoreUnavailable
from ..jobs.events import JobEvent
from ..jobs.model import Job, JobStatus, JsonObject
from ..jobs.transitions import is_terminal
from ..jobs.waits import CLOSED, JobWait
from .mailbox import Delivered, Mailbox, PendingWait

SETTLES_S = 5.0
"""How long an answer waits for a run to be parked that is just stopping."""
LOOK_S = 0.02


class Answers(Protocol):
    """Where answers are kept; the store fits."""

    def answer(self, job_id: str, token: str, message: str) -> Future[Job]:
        """See ``store.parking.ParkingStore``."""
        ...


class ParkedWaits:
    """See the module's docstring. ``deliver`` on the event loop, all else on any thread. Fits ``jobs.events.Publisher``."""

    def __init__(self, mailbox: Mailbox, deadline_s: float) -> None:
        """``deadline_s`` bounds the wait for the store."""
        self._mailbox = mailbox
        self._deadline_s = deadline_s
        self._answers: Answers | None = None
        self._answered: Callable[[], None] = lambda: None
        self._notify: Callable[[JsonObject], None] = lambda _: None

    def join(self, answers: Answers, answered: Callable[[], None], notify: Callable[[JsonObject], None]) -> None:
        """Called once. ``answered``: a job can be claimed that could not be; ``notify`` tells all pages."""
        self._answers = answers
        self._answered = answered
        self._notify = notify

    def restore(self, jobs: Iterable[Job]) -> None:
        """At the start: what parked jobs of earlier lives ask."""
        for job in jobs:
            if job.status is JobStatus.WAITING and job.parked is not None:
                self._mailbox.keep(job.id, job.parked.waits)

    def begin(self, prompt_id: str, waits: Sequence[JobWait]) -> None:
        """See ``Mailbox.begin``."""
        self._mailbox.begin(prompt_id, waits)

    def park(self, prompt_id: str) -> tuple[JobWait, ...]:
        """See ``Mailbox.park``."""
        return self._mailbox.park(prompt_id)

    def end(self, prompt_id: str) -> None:
        """See ``Mailbox.end``; pages hear of what nobody asks any more."""
        self._over(self._mailbox.end(prompt_id))

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """Committed events, in order."""
        for event in events:
            if event.job.status is JobStatus.WAITING:
                self._mailbox.parked_for_good(event.job.id)
            elif is_terminal(event.job.status):
                self.end(event.job.id)

    async def deliver(self, wait: PendingWait, message: str) -> Delivered | None:
        """Answer a parked wait; None when its job has just gone on and the question is open still: look again where its answer belongs.

        ``Gone`` when it is over by now, ``StoreUnavailable`` when nobody can store the answer.
        """
        if not await self._settled(wait):
            return None
        if self._answers is None:
            raise StoreUnavailable("Answers cannot be stored yet.")
        stored = asyncio.wrap_future(self._answers.answer(wait.prompt_id, wait.token, message))
        stored.add_done_callback(lambda done: self._stored(wait, message, done))
        try:
            await asyncio.wait_for(asyncio.shield(stored), self._deadline_s)
        except asyncio.TimeoutError as error:
            raise StoreUnavailable("The answer is not stored yet; it may be in a moment.") from error
        except (Gone, NotFound) as error:
            if await self._went_on(wait):
                return None
            raise _gone(wait) from error
        return Delivered(token=wait.token, node_id=wait.node_id, prompt_id=wait.prompt_id)

    def _stored(self, wait: PendingWait, message: str, stored: asyncio.Future[Job]) -> None:
        if stored.cancelled() or stored.exception() is not None:
            return
        self._mailbox.answered(wait.token, message)
        self._over((wait,))
        self._answered()

    async def _settled(self, wait: PendingWait) -> bool:
        """Wait until the job is stored as parked: its run is just stopping. False when it is parked no more, and asks still."""
        end_s = asyncio.get_running_loop().time() + SETTLES_S
        while (standing := self._mailbox.is_parked(wait.token)) is False:
            if asyncio.get_running_loop().time() > end_s:
                raise StoreUnavailable("The job is just being parked; send the answer again.", retry_after_s=1)
            await asyncio.sleep(LOOK_S)
        if standing is None and not self._mailbox.is_open(wait.token):
            raise _gone(wait)
        return standing is True

    async def _went_on(self, wait: PendingWait) -> bool:
        """The store has no parked job for an answer: whether another answer, or a deadline, let it go on with this question open.
        Between the store's claim and the start of the run the mailbox does not know it yet."""
        end_s = asyncio.get_running_loop().time() + SETTLES_S
        while self._mailbox.is_parked(wait.token):
            if asyncio.get_running_loop().time() > end_s:
                return False
            await asyncio.sleep(LOOK_S)
        return self._mailbox.is_open(wait.token)

    def _over(self, waits: Iterable[PendingWait]) -> None:
        for wait in waits:
            self._notify({"type": CLOSED, **wait.describe()})


def _gone(wait: PendingWait) -> Gone:
    return Gone(f"Node {wait.node_id} no longer waits: it was answered, timed out or was cancelled.")
