"""This instance's place among those that share its queue: it announces itself, hears what is wished of it, and learns who else is there.

Owns the heartbeat, the way in (no two living instances of one name) and the way out. Does not own where members are kept
(``store.instances``), what this instance knows of the others (``members``), nor what a wish does (``intake.flow``).

One that cannot be heard goes on: it is a matter of the store whether its jobs are. One whose name another living instance has taken stands
aside, accepts and claims nothing, until the other is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from ..intake.flow import Flow
from ..jobs.awaiting import Awaiter
from ..jobs.belonging import runner_of
from ..jobs.errors import Conflict, ExpeditorError, StoreUnavailable
from ..jobs.instances import Capabilities, Instance, InstanceState
from ..jobs.model import JobStatus
from ..store.instances import GONE_AFTER_S, HEARTBEAT_S, WISHED, InstanceRegistry
from ..store.records import PAGE_LIMIT_MAX, JobPage, JobQuery
from ..store.relay import Relay
from .members import Members, Picture

log = logging.getLogger("expeditor.runtime")

LEAVE_WITHIN_S = 1.0
LOOK_AGAIN_S = 1.0
_ON_MACHINES = JobQuery(statuses=(JobStatus.RUNNING, JobStatus.CANCELING), limit=PAGE_LIMIT_MAX)


class Lives(Protocol):
    """Which life this instance had before, if that is over for certain; ``lives.Lives`` fits. Blocks."""

    def before(self) -> str | None:
        """The ``boot_id`` of its last life; None when it is not known, or may still live."""
        ...

    def begin(self, boot_id: str) -> None:
        """This is its life now."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """What this instance tells of itself, asked with each heartbeat. ``abilities`` blocks; the rest is quick."""

    about: Callable[[], Instance]
    abilities: Callable[[], Capabilities]
    refresh: Callable[[], Awaitable[None]]


class Membership:
    """See the module's docstring. ``join``, ``watch`` and ``leave`` are called in this order; used on the event loop but for ``leave``."""

    def __init__(
        self,
        *,
        registry: InstanceRegistry,
        relay: Relay,
        members: Members,
        standing: Standing,
        flow: Flow,
        wake: Callable[[], None],
        lives: Lives,
        awaiter: Awaiter,
        heartbeat_s: float = HEARTBEAT_S,
        gone_after_s: float = GONE_AFTER_S,
    ) -> None:
        """``wake`` has the worker look at the queue again."""
        self._registry = registry
        self._relay = relay
        self._members = members
        self._standing = standing
        self._flow = flow
        self._wake = wake
        self._lives = lives
        self._wait = awaiter.settled
        self._heartbeat_s = heartbeat_s
        self._gone_after_s = gone_after_s
        self._wished: InstanceState | None = None
        self._sent = ""
        self._at_odds: str | None = None
        self._gone = False
        self._hurry: Callable[[], None] = lambda: None

    async def join(self) -> None:
        """Become a member. Raises ``StoreUnavailable``, also when another living instance has this name; then it is none.

        A life that has just ended may be listed still: it is waited for, no longer than the registry keeps it.
        """
        me = self._standing.about()
        before = await asyncio.to_thread(self._lives.before)
        if before is not None:
            await self._wait(self._registry.leave(me.name, before))
        loop = asyncio.get_running_loop()
        until_s, seen_at_s = loop.time() + self._gone_after_s + self._heartbeat_s, None
        while True:
            try:
                await self._announce()
                break
            except Conflict as error:
                other = await self._other(me)
                stirred = other is not None and seen_at_s is not None and other.seen_at_s > seen_at_s
                if stirred or loop.time() > until_s:
                    raise StoreUnavailable(_taken(me.name, other)) from error
                seen_at_s = other.seen_at_s if other is not None and seen_at_s is None else seen_at_s
            await asyncio.sleep(min(LOOK_AGAIN_S, self._heartbeat_s))
        await asyncio.to_thread(self._lives.begin, me.boot_id)
        self._relay.listen(WISHED, self._heard)
        await self.look_around()

    async def watch(self) -> None:
        """A heartbeat every few seconds, and at once when this instance's state changes, until cancelled. Never raises."""
        loop, stirred = asyncio.get_running_loop(), asyncio.Event()
        self._hurry = lambda: _stir(loop, stirred)
        while True:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stirred.wait(), self._heartbeat_s)
            stirred.clear()
            if not self._gone:
                await self.beat()

    async def beat(self) -> None:
        """One heartbeat; a failure is the next one's matter."""
        try:
            await self._announce()
            await self.look_around()
            await self._standing.refresh()
            self._flow.bar(None)
        except Conflict:
            name = self._standing.about().name
            reason = f"Another living instance of the queue is called {name}: this one stands aside (setting instance)."
            if self._flow.not_ready() != reason:
                log.error("%s", reason, extra={"event": "instance.doubled", "instance": name})
            self._flow.bar(reason)
        except ExpeditorError as error:
            log.debug("A heartbeat was not stored: %s", error.message, extra={"event": "heartbeat.missed"})
        except Exception:  # noqa: BLE001 - without heartbeats the others would take this instance for dead
            log.exception("A heartbeat failed", extra={"event": "heartbeat.failed"})

    def hear(self, wished: InstanceState) -> None:
        """This is wished of this instance, and kept in the registry: obey, and let the others know. Any thread."""
        self._wished = wished
        self._flow.wish(wished)
        self._wake()
        self._hurry()

    def leave(self) -> None:
        """This instance is about to end; waits a moment. Any thread; never raises."""
        self._gone = True
        me = self._standing.about()
        try:
            self._registry.leave(me.name, me.boot_id).result(LEAVE_WITHIN_S)
        except Exception as error:  # noqa: BLE001 - the end goes on; the others see that no heartbeat comes
            log.info("The others could not be told that this instance ends: %s", error, extra={"event": "leave.untold"})

    def stay(self) -> None:
        """It does not end after all. Any thread."""
        self._gone = False
        self._hurry()

    async def _announce(self) -> None:
        capabilities = await asyncio.to_thread(self._standing.abilities)
        self._members.can(capabilities)
        mark = capabilities.mark
        me = replace(self._standing.about(), capabilities_mark=mark)
        sent = None if mark == self._sent else capabilities
        self._obey(await self._wait(self._registry.announce(me, sent)))
        self._sent = mark

    async def look_around(self) -> None:
        """Draw the picture of the others anew; of capabilities only those that changed are asked for. Raises ``StoreUnavailable``."""
        before = self._members.picture
        instances = {each.name: each for each in await self._wait(self._registry.instances())}
        known: dict[str, Capabilities] = {}
        for name, each in instances.items():
            old, same = before.instances.get(name), before.capabilities.get(name)
            if old is not None and same is not None and old.capabilities_mark == each.capabilities_mark:
                known[name] = same
            elif each.state is not InstanceState.GONE:
                found = await self._wait(self._registry.capabilities(name))
                known |= {} if found is None else {name: found}
        self._members.draw(Picture(instances, known))
        before_odds, self._at_odds = self._at_odds, self._members.at_odds()
        if self._at_odds is not None and self._at_odds != before_odds:
            log.error("%s", self._at_odds, extra={"event": "instances.at_odds"})

    async def _other(self, me: Instance) -> Instance | None:
        """Who has this name."""
        everybody = await self._wait(self._registry.instances())
        return next((each for each in everybody if each.name == me.name and each.boot_id != me.boot_id), None)

    def _obey(self, wished: InstanceState) -> None:
        if self._wished is not wished:
            first, self._wished = self._wished is None, wished
            if not first or wished is not InstanceState.ACTIVE:
                self._flow.wish(wished)
                self._wake()

    def _heard(self, sender: str, kind: str, body: bytes) -> None:  # noqa: ARG002 - a listener's three arguments
        try:
            wished = InstanceState(body.decode("ascii"))
        except ValueError:
            return  # of a newer version
        if wished is not InstanceState.GONE:
            self.hear(wished)


class SharedInstances:
    """Fits ``intake.ports.Instances`` where several share the queue."""

    def __init__(
        self,
        registry: InstanceRegistry,
        page: Callable[[JobQuery], Future[JobPage]],
        awaiter: Awaiter,
        own: str,
        hear: Callable[[InstanceState], None],
    ) -> None:
        """``page`` lists the queue's jobs; ``hear`` brings a wish to this instance, which is called ``own``, itself."""
        self._registry = registry
        self._page = page
        self._wait = awaiter.settled
        self._own = own
        self._hear = hear

    async def all(self) -> tuple[Instance, ...]:
        """All that were heard of within the last day, by name; what each runs is the queue's word, which is never a heartbeat old.
        Raises ``StoreUnavailable``."""
        instances, asked = self._registry.instances(), self._page(_ON_MACHINES)
        listed, jobs = await self._wait(instances), (await self._wait(asked)).jobs
        runs = [(runner_of(job), job.id) for job in reversed(jobs)]
        return tuple(replace(each, running=tuple(i for name, i in runs if name == each.name)) for each in listed)

    async def capabilities(self, name: str) -> Capabilities | None:
        """As it told them last. Raises ``StoreUnavailable``."""
        return await self._wait(self._registry.capabilities(name))

    async def wish(self, name: str, state: InstanceState) -> Instance:
        """It hears so at once if the relay works, and surely with its next heartbeat. Raises ``NotFound``, ``StoreUnavailable``."""
        instance = await self._wait(self._registry.wish(name, state))
        if name == self._own:
            self._hear(state)
        return instance


def _stir(loop: asyncio.AbstractEventLoop, stirred: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop is over
        loop.call_soon_threadsafe(stirred.set)


def _taken(name: str, other: Instance | None) -> str:
    where = "" if other is None else f" ({other.url})"
    return f"another living instance of the queue is called {name}{where}; give this one a name of its own (setting instance)"
