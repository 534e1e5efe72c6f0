"""The only place where objects are made and joined. Building does no I/O and starts nothing.

``current()`` is the one deliberate accessor of the project: ComfyUI makes node objects itself, so a node finds the live
services here.
"""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..dispatch.dispatcher import Dispatcher, RetryRules
from ..dispatch.retrying import RetryPolicy
from ..dispatch.runs import RunTable
from ..dispatch.stall import Patience
from ..dispatch.watchdog import Watchdog
from ..events.bus import Bus
from ..events.mailbox import Mailbox
from ..host.board import HookBoard
from ..host.comfy import ComfyFiles, folder_of, free_memory, version
from ..host.definitions import LiveDefinitions, comfy_mappings
from ..host.door import Door
from ..host.endings import Endings
from ..host.farewells import Farewells
from ..host.files import Leftovers, TempCopies
from ..host.listing import Listing
from ..host.native import NativeItem
from ..host.notifier import Notifier
from ..host.ownership import our_queue
from ..host.proof import ItemProof
from ..host.rerun import Rerun
from ..host.residents import Residents
from ..host.validator import ComfyValidator
from ..host.wiring import QueueWiring, Told
from ..intake.admission import Limits, Pace
from ..intake.depth import QueueDepth
from ..intake.flow import Flow
from ..intake.gate import StockGate
from ..intake.idempotency import Repeats, Reservations
from ..intake.validation import PromptValidation, ValidationRules
from ..jobs.affinity import AffinityPolicy
from ..jobs.awaiting import Awaiter
from ..jobs.backoff import Backoff
from ..jobs.causes import CauseTable
from ..jobs.events import Publisher
from ..jobs.ordering import OrderPolicy
from ..store.base import Clock, JobStore, QueueSummary
from ..store.memory import MemoryStore
from ..store.sqlite import SqliteStore
from ..telemetry.listener import TelemetryListener
from ..telemetry.metrics import Metrics
from .clock import SteadyClock
from .entrance import Entrance, IntakeParts, build_entrance, ceilings, principals
from .evidence import Evidence
from .health import VERSION, Health, LoopLag
from .keeper import Keeper
from .observers import RequestMetrics, RunMetrics
from .retention import retention
from .settings import Settings
from .stopping import Leaving

DATABASE_NAME = "expeditor.sqlite3"
TEMP_COPIES = "temp_outputs"


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that lives as long as the server."""

    settings: Settings
    server: Any
    board: HookBoard
    metrics: Metrics
    requests: RequestMetrics
    mailbox: Mailbox
    awaiter: Awaiter
    notifier: Notifier
    store: JobStore
    depth: QueueDepth
    runs: RunTable
    residents: Residents
    dispatcher: Dispatcher
    wiring: QueueWiring
    rerun: Rerun
    validation: PromptValidation
    gate: StockGate
    flow: Flow
    entrance: Entrance
    repeats: Repeats
    health: Health
    lag: LoopLag
    evidence: Evidence
    leaving: Leaving
    watchdog: Watchdog
    keeper: Keeper

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
    board, lag, metrics, notifier, clock = HookBoard(), LoopLag(), Metrics(), Notifier(server), SteadyClock()
    residents, flow = Residents(metrics), Flow()
    awaiter = Awaiter(settings.store_deadline_s)
    _describe(server, metrics, residents)
    depth = _depth(settings, metrics, flow)
    told = _told(settings, server, clock)
    bus = Bus((depth, TelemetryListener(metrics), notifier, Listing(server, told.farewells, clock)))
    store = _store(settings, data_dir, bus, metrics, clock)
    evidence, leaving, mailbox = Evidence(data_dir), Leaving(server, store, os._exit), Mailbox(clock, _token)
    runs = _runs(server, metrics, evidence)
    copies = TempCopies(folder_of, data_dir / TEMP_COPIES) if settings.keep_temp_outputs else None
    dispatcher = _dispatcher(settings, store, runs, metrics, clock, flow, residents, ComfyFiles(copies))
    proof = ItemProof(ComfyValidator(), server, comfy_mappings)
    wiring = QueueWiring(line=store, depth=depth, dispatch=dispatcher, clock=clock, told=told, proof=proof)
    watchdog = _watchdog(settings, runs, dispatcher, mailbox, wiring, leaving)
    repeats = Repeats(store, awaiter, Reservations(settings.store_deadline_s))
    validation = _validation(settings)
    intake = IntakeParts(settings, store, Door(server, awaiter), flow, depth, runs, validation, awaiter, clock, repeats)
    return Services(
        settings=settings,
        server=server,
        board=board,
        metrics=metrics,
        requests=RequestMetrics(metrics, access_log=settings.access_log),
        awaiter=awaiter,
        mailbox=mailbox,
        notifier=notifier,
        store=store,
        depth=depth,
        runs=runs,
        residents=residents,
        dispatcher=dispatcher,
        wiring=wiring,
        rerun=_rerun(server, dispatcher, told),
        validation=validation,
        gate=_gate(settings, validation, depth),
        flow=flow,
        entrance=build_entrance(intake),
        health=_health(board, store, lag, wiring, lambda: flow.not_ready() or depth.too_full(), watchdog),
        repeats=repeats,
        lag=lag,
        evidence=evidence,
        leaving=leaving,
        watchdog=watchdog,
        keeper=_keeper(settings, server, store, copies, clock),
    )


def _describe(server: Any, metrics: Metrics, residents: Residents) -> None:
    metrics.build_info(version=VERSION, comfyui_version=version())
    metrics.websocket_clients(lambda: len(server.sockets))
    metrics.models_loaded(residents.count)


def _validation(settings: Settings) -> PromptValidation:
    definitions = LiveDefinitions()
    return PromptValidation(definitions, _rules(settings), output_types=definitions.output_types)


def _health(
    board: HookBoard,
    store: JobStore,
    lag: LoopLag,
    wiring: QueueWiring,
    too_full: Callable[[], str | None],
    watchdog: Watchdog,
) -> Health:
    return Health(
        board=board,
        store=store,
        lag=lag,
        comfyui_version=version(),
        worker_alive=lambda: _alive(wiring),
        too_full=too_full,
        stuck=watchdog.stuck,
    )


def _runs(server: Any, metrics: Metrics, evidence: Evidence) -> RunTable:
    return RunTable(
        interrupter=_Interrupter(server),
        observer=RunMetrics(metrics),
        monotonic=time.monotonic,
        recorder=evidence.blackbox,
    )


def _watchdog(
    settings: Settings, runs: RunTable, dispatcher: Dispatcher, mailbox: Mailbox, wiring: QueueWiring, leaving: Leaving
) -> Watchdog:
    return Watchdog(
        runs=runs,
        dispatcher=dispatcher,
        patience=Patience(settings.stall_timeout_s, settings.kill_grace_s, settings.exit_on_stall),
        waits=lambda: {wait.prompt_id for wait in mailbox.pending()},
        worker_alive=lambda: _alive(wiring),
        exit_=leaving,
    )


def _told(settings: Settings, server: Any, clock: Clock) -> Told:
    endings = Endings()
    return Told(endings, Farewells(server, endings, time.monotonic, clock), settings.history_max_bytes)


def _rerun(server: Any, dispatcher: Dispatcher, told: Told) -> Rerun:
    def running(job_id: str) -> NativeItem | None:
        queue = our_queue(server)
        return None if queue is None else queue.running_item(job_id)

    return Rerun(dispatch=dispatcher, endings=told.endings, running=running, free_memory=free_memory)


def _depth(settings: Settings, metrics: Metrics, flow: Flow) -> QueueDepth:
    metrics.queue_capacity(settings.max_waiting_jobs or None)
    limits = Limits(
        jobs=settings.max_waiting_jobs,
        jobs_per_principal=settings.max_waiting_jobs_per_principal,
        size_bytes=settings.max_waiting_bytes,
        ready_below_ratio=settings.ready_below_ratio,
    )
    return QueueDepth(limits, lambda: Pace(metrics.drain_rate(), metrics.worker_busy_ratio()), flow)


def _gate(settings: Settings, validation: PromptValidation, depth: QueueDepth) -> StockGate:
    return StockGate(
        validation=validation,
        principals=principals(settings),
        ceilings=ceilings(settings),
        depth=depth,
        max_bytes=settings.max_body_bytes,
        max_depth=settings.max_depth,
    )


def _keeper(settings: Settings, server: Any, store: JobStore, copies: TempCopies | None, clock: Clock) -> Keeper:
    def wake() -> None:
        queue = our_queue(server)
        if queue is not None:
            queue.wake()

    return Keeper(
        store=store,
        retention=retention(settings),
        files=Leftovers(folder_of),
        copies=copies,
        wake=wake,
        clock=clock,
    )


def _dispatcher(
    settings: Settings,
    store: JobStore,
    runs: RunTable,
    metrics: Metrics,
    clock: Clock,
    flow: Flow,
    residents: Residents,
    files: ComfyFiles,
) -> Dispatcher:
    return Dispatcher(
        store=store,
        runs=runs,
        files=files,
        observer=RunMetrics(metrics),
        retries=_retries(settings),
        clock=clock,
        monotonic=time.monotonic,
        deadline_s=settings.store_deadline_s,
        draining=lambda: flow.draining,
        resident=residents,
    )


def _retries(settings: Settings) -> RetryRules:
    backoff = Backoff(base_s=settings.backoff_base_s, max_s=settings.backoff_max_s)
    policy = RetryPolicy(max_attempts=settings.max_attempts, backoff=backoff, levels=settings.retry_levels)
    return RetryRules(CauseTable(settings.cause_rules), policy, random.random)


class _Interrupter:
    """Fits ``dispatch.ports.Interrupter`` over whatever queue the server has."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def interrupt(self, job_id: str) -> bool:
        """Interrupt the job if it runs now."""
        queue = our_queue(self._server)
        return queue is not None and queue.interrupt(job_id)


def _token() -> str:
    return uuid.uuid4().hex


def _alive(wiring: QueueWiring) -> bool | None:
    return None if wiring.worker is None else wiring.worker.is_alive()


def _store(settings: Settings, data_dir: Path, publisher: Publisher, metrics: Metrics, clock: Clock) -> JobStore:
    policy = OrderPolicy(strict=settings.ordering == "strict", ageing_s=settings.ageing_s, weights=settings.weights)
    boot_id = uuid.uuid4().hex
    affinity = AffinityPolicy(slack_s=settings.affinity_slack_s, strict=policy.strict)
    if settings.store == "memory":
        return MemoryStore(
            policy=policy, clock=clock, boot_id=boot_id, publisher=publisher, observer=metrics, affinity=affinity
        )
    return SqliteStore(
        path=data_dir / DATABASE_NAME,
        policy=policy,
        clock=clock,
        boot_id=boot_id,
        publisher=publisher,
        observer=metrics,
        affinity=affinity,
        commit_delay_s=settings.store_commit_delay_s,
        check_s=settings.store_check_s,
    )


def _rules(settings: Settings) -> ValidationRules:
    return ValidationRules(
        max_nodes=settings.max_nodes,
        max_depth=settings.max_depth,
        max_string_bytes=settings.max_string_bytes,
        numeric_ids_only=settings.numeric_ids_only,
        fill_defaults=settings.fill_defaults,
        allow=tuple(settings.allow_nodes),
        deny=tuple(settings.deny_nodes),
        max_faults=settings.max_faults,
    )
