"""The only place where objects are made and joined. Building does no I/O and starts nothing.

``current()`` is the one deliberate accessor of the project: ComfyUI makes node objects itself, so a node finds the live
services here.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..events.mailbox import Mailbox
from ..host.board import HookBoard
from ..host.comfy import listening, version
from ..host.door import Door
from ..host.endings import Endings
from ..host.farewells import Farewells
from ..host.live import LiveQueue
from ..host.residents import Residents
from ..host.wiring import Told
from ..intake.admission import Limits, Pace
from ..intake.depth import QueueDepth
from ..intake.flow import Flow
from ..jobs.awaiting import Awaiter
from ..jobs.events import Publisher
from ..store.base import Clock, JobStore
from ..store.records import QueueSummary
from ..telemetry.metrics import Metrics
from .audience import Audience, AudienceParts, build_audience
from .cluster import Cluster, clock_of, join_cluster
from .company import Company, CompanyParts, build_company, flow_of, members_of
from .entrance import Entrance, IntakeParts, build_entrance
from .evidence import Evidence
from .health import VERSION, Beside, DiskWatch, Health, LoopLag
from .homeward import HomewardParts
from .identity import Identity, identity_of
from .keeper import Keeper, SharedQueue
from .machine import Machine, MachineParts, build_machine, worker_alive
from .members import Members
from .observers import RequestMetrics
from .page import JoinedPage, Page, PageParts, build_page, join_page
from .parked import Parked, build_parked
from .retention import retention
from .settings import Settings
from .shelf import build_shelf
from .stopping import Leaving
from .storage import JobFiles, build_files, build_store
from .webhooks import WebhookParts, Webhooks


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that lives as long as the server."""

    settings: Settings
    identity: Identity
    files: JobFiles
    cluster: Cluster | None
    page: JoinedPage
    server: Any
    board: HookBoard
    metrics: Metrics
    requests: RequestMetrics
    parked: Parked
    awaiter: Awaiter
    audience: Audience
    store: JobStore
    depth: QueueDepth
    residents: Residents
    flow: Flow
    machine: Machine
    entrance: Entrance
    company: Company
    health: Health
    evidence: Evidence
    leaving: Leaving
    keeper: Keeper
    webhooks: Webhooks

    @property
    def mailbox(self) -> Mailbox:
        """What waits for people here."""
        return self.parked.mailbox

    async def summary(self) -> QueueSummary:
        """The queue's depths, for a scrape."""
        return await self.awaiter.settled(self.store.summary())


_CURRENT: list[Services] = []


def current() -> Services:
    """The live services, for nodes. ``RuntimeError`` when Expeditor is not running in this process."""
    if not _CURRENT:
        raise RuntimeError("Expeditor is not running in this ComfyUI; its log at start says why.")
    return _CURRENT[-1]


def set_current(services: Services) -> None:
    """Make ``services`` the live ones; called once, by ``install``."""
    _CURRENT[:] = [services]


def build(settings: Settings, server: Any, data_dir: Path) -> Services:
    """Make and join all objects for one server."""
    identity, awaiter = identity_of(settings, listening()), Awaiter(settings.store_deadline_s)
    cluster, here = join_cluster(settings, identity), identity.origin_of_new_jobs
    clock, board, lag, live = clock_of(cluster), HookBoard(), LoopLag(), LiveQueue(server)
    (metrics, residents), flow = _measured(server, clock), flow_of(settings, identity)
    parked, members = build_parked(settings, clock, data_dir, here), members_of(settings, identity)
    depth, told = _depth(settings, metrics, flow, members), _told(settings, server, clock)
    page, mailbox = build_page(server, told, clock, time.monotonic, cluster), parked.mailbox
    audience = _audience(settings, identity, server, metrics, page, (depth, page.listing, *parked.ears))
    store = build_store(settings, data_dir, audience.bus, metrics, clock, identity.boot_id, cluster, depth.require_room)
    files = build_files(settings, data_dir, _others(settings, data_dir, identity, cluster, live))
    shelf, door = build_shelf(settings, data_dir, store, awaiter, clock, files.outputs), Door(server, live, awaiter)
    evidence, leaving = Evidence(data_dir), Leaving(live, store, os._exit)
    beside = (evidence, leaving, residents, files, identity, members, parked.parking, page.outbound)
    machine = build_machine(
        MachineParts(settings, server, live, store, metrics, clock, flow, depth, told, mailbox, audience.hub, *beside)
    )
    around = PageParts(server, live, store, metrics, clock, depth, audience, machine, files, parked)
    joined = join_page(page, around, cluster)
    webhooks = Webhooks(WebhookParts(settings, data_dir, store, audience.ears, metrics, clock, awaiter, here))
    parts = IntakeParts(
        settings, store, door, flow, depth, machine.runs, awaiter, clock, audience, files, shelf, members, joined.runs
    )
    entrance = build_entrance(parts)
    return Services(
        settings=settings,
        page=joined,
        identity=identity,
        files=files,
        cluster=cluster,
        server=server,
        board=board,
        metrics=metrics,
        requests=RequestMetrics(metrics, access_log=settings.access_log),
        awaiter=awaiter,
        parked=parked,
        audience=audience,
        store=store,
        depth=depth,
        residents=residents,
        flow=flow,
        machine=machine,
        entrance=entrance,
        company=_company(parts, identity, members, residents, metrics, entrance, data_dir, leaving, cluster),
        health=_health(parts, board, lag, DiskWatch(data_dir), machine, webhooks, identity.name),
        evidence=evidence,
        leaving=leaving,
        keeper=_keeper(parts, live, identity, cluster),
        webhooks=webhooks,
    )


def _others(
    settings: Settings, data_dir: Path, identity: Identity, cluster: Cluster | None, live: LiveQueue
) -> HomewardParts | None:
    if cluster is None:
        return None
    return HomewardParts(settings, data_dir, identity.name, cluster.registry, cluster.clock, live.results_came_home)


def _measured(server: Any, clock: Clock) -> tuple[Metrics, Residents]:
    metrics = Metrics(clock=clock)
    residents = Residents(metrics)
    metrics.build_info(version=VERSION, comfyui_version=version())
    metrics.websocket_clients(lambda: len(server.sockets))
    metrics.models_loaded(residents.count)
    return metrics, residents


def _health(
    parts: IntakeParts,
    board: HookBoard,
    lag: LoopLag,
    disk: DiskWatch,
    machine: Machine,
    webhooks: Webhooks,
    instance: str,
) -> Health:
    return Health(
        board=board,
        store=parts.store,
        lag=lag,
        disk=disk,
        comfyui_version=version(),
        worker_alive=lambda: worker_alive(machine.wiring),
        too_full=lambda: parts.flow.not_ready() or parts.depth.too_full(),
        stuck=machine.watchdog.stuck,
        beside=Beside(
            parts.shelf.store.state, webhooks.state, parts.files.fault, parts.roster.at_odds, machine.parking.facts
        ),
        instance=instance,
    )


def _company(  # noqa: PLR0913, PLR0917 - it is about all of them
    parts: IntakeParts,
    identity: Identity,
    members: Members,
    residents: Residents,
    metrics: Metrics,
    entrance: Entrance,
    data_dir: Path,
    leaving: Leaving,
    cluster: Cluster | None,
) -> Company:
    made = CompanyParts(
        settings=parts.settings,
        identity=identity,
        shared=cluster,
        members=members,
        flow=parts.flow,
        runs=parts.runs,
        residents=residents,
        metrics=metrics,
        store=parts.store,
        queue=entrance.queue,
        awaiter=parts.awaiter,
        clock=parts.clock,
        wake=parts.door.wake,
        data_dir=data_dir,
    )
    company = build_company(made)
    leaving.member = company.membership
    if company.membership is not None:
        entrance.abroad.join(company.membership.look_around)
    return company


def _audience(
    settings: Settings, identity: Identity, server: Any, metrics: Metrics, page: Page, first: tuple[Publisher, ...]
) -> Audience:
    here = identity.origin_of_new_jobs
    return build_audience(AudienceParts(server, metrics, page.notifier, first, settings, here))


def _told(settings: Settings, server: Any, clock: Clock) -> Told:
    endings = Endings()
    return Told(endings, Farewells(server, endings, time.monotonic, clock), settings.history_max_bytes)


def _depth(settings: Settings, metrics: Metrics, flow: Flow, members: Members) -> QueueDepth:
    metrics.queue_capacity(settings.max_waiting_jobs or None)
    limits = Limits(
        jobs=settings.max_waiting_jobs,
        jobs_per_principal=settings.max_waiting_jobs_per_principal,
        size_bytes=settings.max_waiting_bytes,
        ready_below_ratio=settings.ready_below_ratio,
    )

    def pace() -> Pace:
        return Pace(metrics.queue_drain_rate(), members.busy_ratio(metrics.worker_busy_ratio()))

    return QueueDepth(limits, pace, flow)


def _keeper(parts: IntakeParts, live: LiveQueue, identity: Identity, cluster: Cluster | None) -> Keeper:
    settings, files = parts.settings, parts.files
    return Keeper(
        store=parts.store,
        retention=retention(settings),
        files=files.leftovers,
        copies=files.copies,
        uploads=files.uploads if settings.prune_uploads else None,
        wake=live.wake,
        clock=parts.clock,
        shared=None if cluster is None else SharedQueue(identity.name, cluster.registry.instances),
        spared=parts.shelf.service.spared,
    )
