"""Answers to parked jobs: stored before anybody hears that they were taken.

Owns the way of an answer into the store, and that the mailbox keeps step with what becomes of parked jobs, whichever instance parked them:
of those that share a queue each knows all such questions, and takes answers to them. Does not own which wait a message is for
(``mailbox``), nor when a job is parked (``host.parking``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Protocol

from ..jobs.belonging import keeper_of, runner_of, runs_elsewhere
from ..jobs.errors import Gone, NotFound, StoreUnavailable
from ..jobs.events import JobEvent
from ..jobs.model import Job, JobStatus, JsonObject
from ..jobs.transitions import is_terminal
from ..jobs.waits import ASKED, CLOSED, JobWait
from .mailbox import Mailbox
from .open_wait import Delivered, PendingWait
from .ports import Relayed

SETTLES_S = 5.0
"""How long an answer waits for a run to be parked that is just stopping."""
LOOK_S = 0.02
STARTED = "job.started"
ANSWERED = "parked.answered"
"""The word to other instances: a parked wait was answered; its token."""

Copy = Callable[[str, tuple[PendingWait, ...]], None]
"""Has what an instance shows with its questions copied here."""
Expect = Callable[[str, tuple[PendingWait, ...]], None]
"""Takes what an instance will ask in a moment, as its run goes on with these questions."""


class Answers(Protocol):
    """Where answers are kept; the store fits."""

    def answer(self, job_id: str, token: str, message: str) -> Future[Job]:
        """See ``store.parking.ParkingStore``."""
        ...


class ParkedWaits:
    """See the module's docstring. ``deliver`` on the event loop, all else on any thread. Fits ``jobs.events.Publisher``."""

    def __init__(self, mailbox: Mailbox, deadline_s: float, here: str | None = None) -> None:
        """``deadline_s`` bounds the wait for the store. ``here``: this instance's name where several share the queue."""
        self._here = here
        self._relay: Relayed | None = None
        self._expect: Expect = lambda _, __: None
        self._copy: Copy = lambda _, __: None
        self._holders: dict[str, tuple[str, ...]] = {}
        self._moved: dict[str, tuple[PendingWait, ...]] = {}
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

    def join_others(self, relay: Relayed, expect: Expect, copy: Copy | None) -> None:
        """Called once, where several instances share the queue. ``copy``: of what jobs of this one ask; None where nothing can be."""
        self._relay = relay
        self._expect = expect
        self._copy = copy or self._copy
        relay.listen(ANSWERED, self._heard_answer)

    def restore(self, jobs: Iterable[Job]) -> None:
        """At the start: what parked jobs ask."""
        for job in jobs:
            if job.status is JobStatus.WAITING:
                self._parked(job, told=True)

    def holders(self, prompt_id: str) -> tuple[str, ...]:
        """The other instances that may have the pictures of what a job asks."""
        return self._holders.get(prompt_id, ())

    def begin(self, prompt_id: str, waits: Sequence[JobWait]) -> None:
        """See ``Mailbox.begin``."""
        self._mailbox.begin(prompt_id, waits)

    def park(self, prompt_id: str) -> tuple[JobWait, ...]:
        """See ``Mailbox.park``."""
        return self._mailbox.park(prompt_id)

    def end(self, prompt_id: str) -> None:
        """A run is over: see ``Mailbox.end``; pages hear of what nobody asks any more."""
        self._over(self._mailbox.end(prompt_id, parked=False))

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """Committed events, in order, with their jobs as they stand now."""
        for event in events:
            job = event.job
            if job.status is JobStatus.WAITING:
                self._parked(job)
            elif is_terminal(job.status):
                self._over((*self._over_elsewhere(job.id), *self._mailbox.end(job.id)))
            elif job.status in (JobStatus.QUEUED, JobStatus.RETRYING):
                self._over(
                    (*self._over_elsewhere(job.id), *self._mailbox.move_on(job.id))
                )  # asked anew by its next attempt
            elif event.type == STARTED and runs_elsewhere(job, self._here):
                self._went_away(job)

    def _parked(self, job: Job, *, told: bool = False) -> None:
        keeper = keeper_of(job)
        away = self._here is not None and keeper not in (None, self._here)
        self._forgotten(job.id)
        if job.parked is None or (not away and self._mailbox.parked_for_good(job.id)):
            return
        if away:
            others = (keeper, None if job.origin == self._here else job.origin)
            self._holders[job.id] = tuple(dict.fromkeys(name for name in others if name is not None))
        new = self._mailbox.keep(job.id, job.parked.waits, away=away)
        if away and keeper is not None and job.origin == self._here:
            self._copy(keeper, new)
        for wait in () if told else new:
            self._notify({"type": ASKED, **wait.describe()})

    def _went_away(self, job: Job) -> None:
        """Another instance goes on with the job: what it asks still is answered there. Known before it is forgotten here, as a message
        may come at any moment."""
        runner, waits = runner_of(job), () if job.parked is None else job.parked.waits
        still = tuple(PendingWait.of(job.id, wait) for wait in waits if wait.answer is None)
        if still and runner is not None:
            self._moved[job.id] = still
            self._expect(runner, still)
        asked_on = {wait.token for wait in still}
        for wait in self._mailbox.move_on(job.id):
            if wait.token not in asked_on:  # answered elsewhere, and the word of it was lost
                self._mailbox.remember_over(wait)
                self._over((wait,))

    def _over_elsewhere(self, job_id: str) -> tuple[PendingWait, ...]:
        waits = self._forgotten(job_id)
        for wait in waits:
            self._mailbox.remember_over(wait)
        return waits

    def _forgotten(self, job_id: str) -> tuple[PendingWait, ...]:
        """Nobody else has the job any more; what was asked elsewhere and is not known to be over."""
        self._holders.pop(job_id, None)
        return tuple(wait for wait in self._moved.pop(job_id, ()) if not self._mailbox.is_over(wait.token))

    def _heard_answer(self, _sender: str, _kind: str, body: bytes) -> None:
        wait = self._mailbox.answered(body.decode("utf-8", "replace"))
        if wait is not None:
            self._over((wait,))

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
        if self._relay is not None:
            self._relay.send(None, ANSWERED, wait.token.encode())
        self._answered()

    async def _settled(self, wait: PendingWait) -> bool:
        """Wait until the job is stored as parked: its run is just stopping. False when it is parked no more, and asks still."""
        end_s = asyncio.get_running_loop().time() + SETTLES_S
        while (standing := self._mailbox.is_parked(wait.token)) is False:
            if asyncio.get_running_loop().time() > end_s:
                raise StoreUnavailable("The job is just being parked; send the answer again.", retry_after_s=1)
            await asyncio.sleep(LOOK_S)
        if standing is None and not self._asked_still(wait):
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
        return self._asked_still(wait)

    def _asked_still(self, wait: PendingWait) -> bool:
        """Whether it can be answered, here or where its job went on."""
        return self._mailbox.is_open(wait.token) or any(
            wait.token == moved.token for moved in self._moved.get(wait.prompt_id, ())
        )

    def _over(self, waits: Iterable[PendingWait]) -> None:
        for wait in waits:
            self._notify({"type": CLOSED, **wait.describe()})


def _gone(wait: PendingWait) -> Gone:
    return Gone(f"Node {wait.node_id} no longer waits: it was answered, timed out or was cancelled.")
