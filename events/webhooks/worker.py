"""Empties the outbox: takes what is due, sends it, notes what came of it. At least once: a try that nobody noted is made again.

Owns how many go out at once, in all and to one host, and which hosts rest; one that hangs holds up nobody else. Does not own the
sending itself (``sending``), what follows a try (``retrying``), nor the order of one job's messages (``store.deliveries``).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from ...jobs.deliveries import Delivery, DeliveryAttempt, DeliveryStatus, Verdict
from ...jobs.errors import ExpeditorError
from .bell import Bell
from .circuits import Circuits
from .ports import Counted, Outbox
from .retrying import Answer, RetryPlan
from .sending import Sender
from .signing import Signers

log = logging.getLogger("expeditor.events")

AT_ONCE = 64
AT_ONCE_PER_PLACE = 4
TICK_S = 1.0
PRUNE_EVERY_S = 60.0
NOTE_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Clocks:
    """``steady`` measures what is stored; ``wall`` is what receivers compare the timestamp with."""

    steady: Callable[[], float]
    wall: Callable[[], float]
    monotonic: Callable[[], float]


class DeliveryWorker:
    """See the module's docstring. Used on one event loop."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        sender: Sender,
        signers: Signers,
        plan: RetryPlan,
        counted: Counted,
        clocks: Clocks,
        prune: Callable[[float], Future[int]],
        tick_s: float = TICK_S,
        note_again_s: float = NOTE_AGAIN_S,
    ) -> None:
        """``prune`` forgets some of what is beyond retention at the time given, and says how many."""
        self._outbox = outbox
        self._sender = sender
        self._signers = signers
        self._plan = plan
        self._counted = counted
        self._clocks = clocks
        self._prune = prune
        self._tick_s = tick_s
        self._note_again_s = note_again_s
        self._circuits = Circuits()
        self._bell = Bell()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._places: Counter[str] = Counter()

    def wake(self) -> None:
        """There may be something due. On the event loop."""
        self._bell.ring()

    async def run(self) -> None:
        """Until cancelled; what is on its way then is cancelled too, and sent again after the next start."""
        pruned_s = self._clocks.monotonic()
        try:
            while True:
                try:
                    await self._start_what_is_due()
                    due = self._clocks.monotonic() - pruned_s >= PRUNE_EVERY_S
                    # Some at a time: as long as there is more it goes on with the next tick.
                    if due and not await asyncio.wrap_future(self._prune(self._clocks.steady())):
                        pruned_s = self._clocks.monotonic()
                except ExpeditorError:
                    pass  # the outbox has said so in the log; the next tick tries again
                except Exception:  # noqa: BLE001 - a fault of ours must not end all deliveries
                    log.exception("Webhooks could not be sent", extra={"event": "webhooks.failed"})
                await self._bell.rest(self._tick_s)
        finally:
            for task in self._running.values():
                task.cancel()
            await self._sender.close()

    async def _start_what_is_due(self) -> None:
        if len(self._running) >= AT_ONCE:
            return
        now_s = self._clocks.steady()
        closed = self._circuits.closed(self._clocks.monotonic())
        found = await asyncio.wrap_future(
            self._outbox.due(now_s, closed | self._full(), frozenset(self._running), AT_ONCE_PER_PLACE)
        )
        for delivery in sorted(found, key=lambda each: (each.next_try_at_s or 0.0, each.seq)):
            place = delivery.message.place
            room = self._places[place] < self._circuits.width(place, AT_ONCE_PER_PLACE)
            if room and len(self._running) < AT_ONCE and delivery.message.id not in self._running:
                self._start(delivery)

    def _full(self) -> frozenset[str]:
        return frozenset(
            place for place, count in self._places.items() if count >= self._circuits.width(place, AT_ONCE_PER_PLACE)
        )

    def _start(self, delivery: Delivery) -> None:
        message_id, place = delivery.message.id, delivery.message.place
        self._places[place] += 1
        task = asyncio.get_running_loop().create_task(self._try(delivery))
        self._running[message_id] = task
        task.add_done_callback(lambda _: self._ended(message_id, place))

    def _ended(self, message_id: str, place: str) -> None:
        self._running.pop(message_id, None)
        self._places[place] -= 1
        if not self._places[place]:
            del self._places[place]
        self._bell.ring()

    async def _try(self, delivery: Delivery) -> None:
        message = delivery.message
        body = message.body.encode("utf-8")
        headers = self._signers.of(message.signer).headers(message.id, self._clocks.wall(), body)
        at_s, started_s = self._clocks.steady(), self._clocks.monotonic()
        answer = await self._sent(message.url, headers, body)
        duration_s = self._clocks.monotonic() - started_s
        self._note_place(message.place, answer)
        attempt = DeliveryAttempt(delivery.attempts + 1, at_s, duration_s, answer.code, answer.error)
        verdict = self._plan.verdict(answer, delivery.tries + 1, at_s + duration_s)
        self._tell(delivery, answer, verdict)
        await self._noted(message.id, attempt, verdict)

    async def _sent(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        try:
            return await self._sender.send(url, headers, body)
        except Exception:  # noqa: BLE001 - a try that is not noted would be made again at once, for ever
            log.exception("A webhook could not be sent", extra={"event": "webhooks.failed"})
            return Answer(error="A fault of this server; its log says which.")

    async def _noted(self, message_id: str, attempt: DeliveryAttempt, verdict: Verdict) -> None:
        """Note the try, however long that takes: while it is not noted it counts as running, and is not made again."""
        while True:
            try:
                await asyncio.wrap_future(self._outbox.settle(message_id, attempt, verdict))
                return
            except ExpeditorError:
                await asyncio.sleep(self._note_again_s)

    def _note_place(self, place: str, answer: Answer) -> None:
        if answer.reachable:
            self._circuits.answered(place)
        else:
            self._circuits.failed(place, self._clocks.monotonic())

    def _tell(self, delivery: Delivery, answer: Answer, verdict: Verdict) -> None:
        outcome = "gone" if verdict.gone else _OUTCOMES[verdict.status]
        self._counted.webhook_delivery(outcome)
        if verdict.status is DeliveryStatus.FAILED:
            log.warning(
                "A webhook to %s was given up: %s",
                delivery.message.place,
                answer.error,
                extra={"event": "webhook.failed", "job_id": delivery.message.job_id, "code": answer.code},
            )


_OUTCOMES = {
    DeliveryStatus.DELIVERED: "delivered",
    DeliveryStatus.PENDING: "retry",
    DeliveryStatus.FAILED: "failed",
}
