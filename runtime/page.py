"""The part of ``services`` that keeps ComfyUI's page whole: its lists and sockets, wherever a job runs. No I/O, no threads.

In a process that stands alone it is only the lists and our own events on the socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from ..dispatch.runs import RunTable
from ..events.glimpses import Glimpses
from ..events.onlookers import Onlookers
from ..events.parked_look import ParkedLook
from ..events.parked_waits import Copy
from ..events.ports import PicturesElsewhere
from ..events.post import PostOffice
from ..events.wait_copies import WaitCopies
from ..events.webhooks.filling import WebhookEars
from ..host.elsewhere import Elsewhere
from ..host.inbound import Inbound
from ..host.interrupting import Interrupts
from ..host.listing import Listing
from ..host.live import LiveQueue
from ..host.notifier import Notifier
from ..host.outbound import Outbound
from ..host.ownership import our_queue
from ..host.ports import Handover
from ..host.shown_anew import Listed, PictureLook
from ..host.wiring import Told
from ..intake.depth import QueueDepth
from ..intake.ports import Runs
from ..jobs.events import JobEvent
from ..jobs.model import Job, JobStatus, JsonObject, Progress
from ..jobs.relayed import MESSAGE, PICTURE
from ..store.base import Clock, JobStore
from ..store.records import JobPage, JobQuery
from ..telemetry.listener import EndsElsewhere
from ..telemetry.metrics import Metrics
from .audience import Audience
from .cluster import Cluster
from .machine import Machine
from .neighbours import Concerned, Hearer
from .parked import Parked
from .storage import JobFiles

REFRESH_S = 5.0
COMPARED_AT_ONCE = 500
"""How many jobs are asked for at a time when events were missed."""

_Part = tuple[Sequence[Job], "str | None"]


class LateHandover:
    """Fits ``host.ports.Handover`` before there is one; then there is nothing to bring."""

    def __init__(self) -> None:
        """None yet."""
        self._real: Handover | None = None

    def join(self, real: Handover | None) -> None:
        """From now on it is this one; None where results stay where they are."""
        self._real = real

    def deliver(self, job_id: str, node_outputs: Any) -> Future[Any] | None:
        """See ``Handover``."""
        return None if self._real is None else self._real.deliver(job_id, node_outputs)


@dataclass(frozen=True, slots=True)
class Page:
    """What tells ComfyUI's page. ``inbound`` and ``outbound`` only where several instances share the queue."""

    notifier: Notifier
    listing: Listing
    told: Told
    handover: LateHandover
    inbound: Inbound | None = None
    outbound: Outbound | None = None

    def greet(self, client_id: object) -> None:
        """A client has connected: tell it what it has missed, and what is being executed for it elsewhere."""
        self.told.farewells.catch_up(client_id)
        if self.inbound is not None:
            self.inbound.greet(client_id)


def build_page(server: Any, told: Told, clock: Clock, monotonic: Callable[[], float], cluster: Cluster | None) -> Page:
    """Make it. ``clock`` is the queue's."""
    handover = LateHandover()
    if cluster is None:
        return Page(Notifier(server), Listing(server, told.farewells, clock), told, handover)
    inbound = Inbound(server, lambda wait_s, then: _later(server.loop, wait_s, then))
    cluster.relay.listen(MESSAGE, inbound.heard_message)
    cluster.relay.listen(PICTURE, inbound.heard_picture)
    elsewhere = Elsewhere(told.farewells, inbound, clock)
    return Page(
        notifier=Notifier(server, cluster.neighbours.name),
        listing=Listing(server, told.farewells, clock, elsewhere),
        told=told,
        handover=handover,
        inbound=inbound,
        outbound=Outbound(server, cluster.relay, handover, monotonic),
    )


class RunsEverywhere:
    """Fits ``intake.ports.Runs``: runs of this machine, and what is known of those of other instances."""

    def __init__(self, local: RunTable, onlookers: Onlookers, clock: Clock) -> None:
        """``clock`` is the queue's."""
        self._local = local
        self._onlookers = onlookers
        self._clock = clock

    def progress(self, job_id: str) -> Progress | None:
        """See ``Runs``."""
        return self._local.progress(job_id) or self._onlookers.progress(job_id)

    def running_for_s(self, job_id: str) -> float | None:
        """See ``Runs``."""
        started_at_s = self._onlookers.started_at_s(job_id)
        here_s = self._local.running_for_s(job_id)
        return here_s if here_s is not None or started_at_s is None else max(self._clock() - started_at_s, 0.0)

    def worked_off_s(self) -> float:
        """See ``Runs``."""
        return self._local.worked_off_s() + self._onlookers.worked_off_s(self._clock())

    def interrupt(self, job_id: str, attempt: int) -> None:
        """See ``Runs``; of a run elsewhere its instance hears by the committed event."""
        self._local.interrupt(job_id, attempt)


class Everybody:
    """Fits ``host.ports.Glimpses`` for those who look from here and from elsewhere."""

    def __init__(self, *listeners: Glimpses | Onlookers) -> None:
        """They are told in this order."""
        self._listeners = listeners

    def progressed(self, job_id: str) -> None:
        """See ``Glimpses``."""
        for listener in self._listeners:
            listener.progressed(job_id)

    def previewed(self, job_id: str, facts: Callable[[], JsonObject | None]) -> None:
        """See ``Glimpses``."""
        for listener in self._listeners:
            listener.previewed(job_id, facts)


@dataclass(frozen=True, slots=True)
class PageParts:
    """Whom it is joined with."""

    server: Any
    live: LiveQueue
    store: JobStore
    metrics: Metrics
    clock: Clock
    depth: QueueDepth
    audience: Audience
    machine: Machine
    files: JobFiles
    parked: Parked


@dataclass(frozen=True, slots=True)
class JoinedPage:
    """The page with what it needs of others. ``interrupts`` reaches runs elsewhere, ``post`` nodes that wait there, ``runs`` tells of
    all; ``glimpses`` hears of runs here; ``look`` finds what was missed, None where nothing can be."""

    page: Page
    interrupts: Interrupts
    post: PostOffice
    runs: Runs
    glimpses: Glimpses | Everybody
    onlookers: Onlookers | None = None
    look: PictureLook | None = None

    async def keep(self) -> None:
        """Until cancelled: look once for what happened before this instance listened, and keep the others told."""
        if self.look is None or self.onlookers is None:
            return
        await self.look.look()
        while True:
            await asyncio.sleep(REFRESH_S)
            self.onlookers.refresh()
            self.post.refresh()


def join_page(page: Page, parts: PageParts, cluster: Cluster | None) -> JoinedPage:
    """Have those told whom it concerns what other instances do."""
    parked, waits = parts.parked, parts.parked.waits
    waits.join(parts.store, parts.live.wake, lambda event: page.notifier.send(event, None))
    if cluster is None:
        post = PostOffice(parked.mailbox, time.monotonic, parked=waits)
        return JoinedPage(page, Interrupts(parts.server), post, parts.machine.runs, parts.machine.glimpses)
    audience, here = parts.audience, cluster.neighbours.name
    onlookers = Onlookers(audience.hub, parts.machine.runs, cluster.relay, here, time.monotonic)
    away = Glimpses(audience.hub, onlookers, parts.clock, time.monotonic)
    onlookers.join(away.progressed, away.previewed)
    pictures = None if parts.files.homeward is None else parts.files.homeward.pictures
    post = PostOffice(parked.mailbox, time.monotonic, cluster.relay, pictures, waits)
    waits.join_others(cluster.relay, post.expect, _copy_of(parts, pictures))
    post.join(lambda event: page.notifier.send(event, None))
    look = PictureLook(
        lambda: our_queue(parts.server), parts.store, _listed(parts.store), page.listing, parts.clock, here
    )
    parked_look = _parked_look(parts)
    hearers: tuple[Hearer, ...] = (
        parts.depth,
        page.listing,
        *parked.ears,
        page.notifier,
        audience.changes,
        audience.hub,
    )
    concerned = Concerned(
        machine=parts.machine.runs,
        hearers=(*hearers, onlookers, Heard(audience.ears), EndsElsewhere(parts.metrics)),
        missed=(
            audience.hub.missed,
            lambda _: audience.changes.missed(),
            lambda _: audience.ears.missed(),
            lambda _: _soon(parts.server.loop, look.look),
            lambda _: _soon(parts.server.loop, parked_look.look),
        ),
        wake=parts.live.wake,
        lost=(lambda job_id, _: parts.metrics.worker_freed(job_id, parts.clock()),),
    )
    cluster.neighbours.join(concerned)
    page.handover.join(None if parts.files.homeward is None else parts.files.homeward.handover)
    runs = RunsEverywhere(parts.machine.runs, onlookers, parts.clock)
    glimpses = Everybody(parts.machine.glimpses, onlookers)
    return JoinedPage(page, Interrupts(parts.server), post, runs, glimpses, onlookers, look)


def _parked_look(parts: PageParts) -> ParkedLook:
    runs, parked = parts.machine.runs, parts.parked

    def runs_here(job_id: str) -> bool:
        return runs.attempt_of(job_id) is not None

    return ParkedLook(parts.store, _listed(parts.store), parked.ears, parked.known, runs_here, parts.clock)


def _copy_of(parts: PageParts, pictures: PicturesElsewhere | None) -> Copy | None:
    if pictures is None:
        return None
    server, mailbox = parts.server, parts.parked.mailbox
    return WaitCopies(parts.parked.pictures, pictures, lambda: server.loop, mailbox.is_open).fetch


class Heard:
    """Fits ``neighbours.Hearer`` for webhooks."""

    def __init__(self, ears: WebhookEars) -> None:
        """``ears`` hear them as another's."""
        self._ears = ears

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """See ``Publisher``."""
        self._ears.heard(events)


def _listed(store: JobStore) -> Listed:
    def listed(statuses: Sequence[JobStatus], cursor: str | None) -> Future[_Part]:
        found: Future[_Part] = Future()
        page = store.page(JobQuery(statuses=tuple(statuses), cursor=cursor, limit=COMPARED_AT_ONCE))
        page.add_done_callback(lambda page: _pass_on(page, found))
        return found

    return listed


def _pass_on(page: Future[JobPage], found: Future[_Part]) -> None:
    error = page.exception()
    if error is not None:
        found.set_exception(error)
    else:
        found.set_result((page.result().jobs, page.result().next_cursor))


def _later(loop: asyncio.AbstractEventLoop, wait_s: float, then: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
        loop.call_soon_threadsafe(lambda: loop.call_later(wait_s, then))


def _soon(loop: asyncio.AbstractEventLoop, look: Callable[[], Any]) -> None:
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(lambda: asyncio.ensure_future(look()))
