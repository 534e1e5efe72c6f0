"""From events to messages: fills the outbox from what happened, once each, however the process ends.

``WebhookEars`` hears committed events on the store's thread and keeps those that somebody wants; ``Filling`` writes them to the outbox
together with the position up to which the log is dealt with. What was heard and not written is read again from the event log: after
a crash, after a fault of the outbox, and when more came than the ears hold. A message met twice has the same id and is kept once.
Neither can hurt the queue: nobody waits for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable

from ...jobs.deliveries import NewDelivery
from ...jobs.errors import ExpeditorError
from ...jobs.events import JobEvent
from ...jobs.log import LogQuery
from ...jobs.model import Job
from .bell import Bell
from .ports import Body, Filled, Log
from .targets import Targets

log = logging.getLogger("expeditor.events")

HELD_MAX = 10_000
"""The most events that are held in memory until they are written; beyond, they are read from the log."""
PAGE_EVENTS = 500
NOTE_EVERY_S = 5.0
"""How often the position is written when nobody wants what happens; after a crash so much is read again."""
AGAIN_S = 5.0
"""How long after a fault the next try is made."""


class WebhookEars:
    """A ``jobs.events.Publisher``: quick, never raises, safe from any thread."""

    def __init__(self, targets: Targets) -> None:
        """Deaf until ``listen``: what happens before is in the log."""
        self._targets = targets
        self._wake: Callable[[], None] | None = None
        self._held: deque[JobEvent] = deque()
        self._position = 0
        self._missed = False

    def listen(self, wake: Callable[[], None]) -> None:
        """Hear from now on; ``wake`` is called, from any thread, when there is something to write."""
        self._wake = wake

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """Hear ``events``, in commit order."""
        if self._wake is None or not events:
            return
        wanted = [event for event in events if self._targets.of(event.job, event.type)]
        if len(self._held) + len(wanted) > HELD_MAX:
            self._missed = True
        else:
            self._held.extend(wanted)
        self._position = max(self._position, events[-1].position)
        if wanted:
            self._wake()

    def heard(self, events: tuple[JobEvent, ...]) -> None:
        """As ``publish``, of what other instances committed: theirs to tell where nobody knows whose the job is."""
        self.publish(tuple(event for event in events if event.job.origin is not None or event.job.attempts))

    def missed(self) -> None:
        """Events were not heard: they are read from the log."""
        self._missed = True
        if self._wake is not None:
            self._wake()

    def take(self) -> tuple[list[JobEvent], int, bool]:
        """What was heard since the last time, up to which position all of it is there, and whether something was left out."""
        position = self._position  # first: what is heard meanwhile is beyond it
        missed, self._missed = self._missed, False
        heard = [self._held.popleft() for _ in range(len(self._held))]
        return heard, position, missed


class Filling:
    """See the module's docstring. Used on one event loop."""

    def __init__(
        self,
        *,
        events: Log,
        outbox: Filled,
        ears: WebhookEars,
        targets: Targets,
        body: Body,
        clock: Callable[[], float],
        filled: Callable[[], None],
        again_s: float = AGAIN_S,
        note_every_s: float = NOTE_EVERY_S,
    ) -> None:
        """``filled`` is called when there are new messages."""
        self._log = events
        self._outbox = outbox
        self._ears = ears
        self._targets = targets
        self._body = body
        self._clock = clock
        self._filled = filled
        self._again_s = again_s
        self._note_every_s = note_every_s
        self._cursor = 0
        self._bell = Bell()
        self._telling_of_fault = True

    async def run(self, *, not_before_s: float = 0.0) -> None:
        """Until cancelled. ``not_before_s``: what the log has from before is passed over in the first reading."""
        loop = asyncio.get_running_loop()
        self._ears.listen(lambda: _ring(loop, self._bell))
        behind, since_s = True, not_before_s
        while True:
            try:
                if behind:
                    self._ears.take()  # all of it is in the log
                    await self._read_log(since_s)
                    behind, since_s = False, 0.0
                    self._telling_of_fault = True
                    continue
                await self._bell.rest(self._note_every_s)
                behind = not await self._write_heard()
            except ExpeditorError as fault:
                behind = True
                self._tell(fault)
                await asyncio.sleep(self._again_s)
            except Exception:  # noqa: BLE001 - a fault of ours must not end what tells all other events
                behind = True
                log.exception("Webhooks could not be prepared", extra={"event": "webhooks.failed"})
                await asyncio.sleep(self._again_s)

    async def _write_heard(self) -> bool:
        """Write what was heard; False if the log has to be read."""
        heard, position, missed = self._ears.take()
        if missed:
            return False
        made = [each for event in heard for each in self._targets.deliveries(event.logged(), event.job, self._body)]
        if made or position > self._cursor:
            await self._write(made, max(position, self._cursor))
        return True

    async def _read_log(self, since_s: float) -> None:
        self._cursor = await asyncio.wrap_future(self._outbox.cursor())
        if self._cursor > await asyncio.wrap_future(self._log.last_position()):
            self._cursor = 0  # the queue began anew: its events are counted from the start again
        more = True
        while more:
            page = await asyncio.wrap_future(self._log.events(LogQuery(after=self._cursor, limit=PAGE_EVENTS)))
            jobs: dict[str, Job | None] = {}
            made: list[NewDelivery] = []
            for event in page.events:
                if event.at_s < since_s:
                    continue
                if event.job_id not in jobs:
                    jobs[event.job_id] = await asyncio.wrap_future(self._log.get(event.job_id))
                job = jobs[event.job_id]
                if job is not None:
                    made += self._targets.deliveries(event, job, self._body)
            if made or page.end != self._cursor:
                await self._write(made, page.end)
            more = page.more

    async def _write(self, made: list[NewDelivery], cursor: int) -> None:
        added = await asyncio.wrap_future(self._outbox.add(made, cursor, self._clock()))
        self._cursor = cursor
        if added:
            self._filled()

    def _tell(self, fault: ExpeditorError) -> None:
        if self._telling_of_fault:
            log.warning(
                "Webhooks wait, and nothing of them is lost: %s", fault.message, extra={"event": "webhooks.waiting"}
            )
        self._telling_of_fault = False


def _ring(loop: asyncio.AbstractEventLoop, bell: Bell) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends, and the log has the event
        loop.call_soon_threadsafe(bell.ring)
