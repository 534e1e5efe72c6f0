"""The half of ``services`` behind ComfyUI's worker thread: makes and joins what claims, runs and watches. No I/O, no threads."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

from ..dispatch.dispatcher import Dispatcher, RetryRules
from ..dispatch.own_job import OwnJob
from ..dispatch.retrying import RetryPolicy
from ..dispatch.runs import RunTable
from ..dispatch.stall import Patience
from ..dispatch.watchdog import Watchdog
from ..events.glimpses import Glimpses
from ..events.hub import Hub
from ..events.mailbox import Mailbox
from ..host.comfy import ComfyFiles, free_memory, interruption_wanted
from ..host.definitions import comfy_mappings
from ..host.live import LiveQueue
from ..host.outbound import Outbound
from ..host.parking import Parking
from ..host.proof import ItemProof
from ..host.rerun import Rerun
from ..host.residents import Residents
from ..host.validator import ComfyValidator
from ..host.wiring import QueueWiring, Told
from ..intake.depth import QueueDepth
from ..intake.flow import Flow
from ..jobs.backoff import Backoff
from ..jobs.causes import CauseTable
from ..store.base import Clock, JobStore
from ..telemetry.metrics import Metrics
from .evidence import Evidence
from .identity import Identity
from .members import Members
from .settings import Settings
from .stopping import Leaving
from .storage import JobFiles


@dataclass(frozen=True, slots=True)
class Machine:
    """What stands between the store and ComfyUI's worker thread."""

    runs: RunTable
    dispatcher: Dispatcher
    wiring: QueueWiring
    rerun: Rerun
    watchdog: Watchdog
    glimpses: Glimpses
    parking: Parking
    own_job: OwnJob


@dataclass(frozen=True, slots=True)
class MachineParts:
    """What it is made of."""

    settings: Settings
    server: Any
    live: LiveQueue
    store: JobStore
    metrics: Metrics
    clock: Clock
    flow: Flow
    depth: QueueDepth
    told: Told
    mailbox: Mailbox
    hub: Hub
    evidence: Evidence
    leaving: Leaving
    residents: Residents
    files: JobFiles
    identity: Identity
    roster: Members
    parking: Parking
    abroad: Outbound | None = None


def build_machine(parts: MachineParts) -> Machine:
    """Make and join it."""
    runs = RunTable(
        interrupter=parts.live, observer=parts.metrics, monotonic=time.monotonic, recorder=parts.evidence.blackbox
    )
    dispatcher = _dispatcher(parts, runs)
    parts.parking.join(runs, interruption_wanted)
    wiring = QueueWiring(
        line=parts.store,
        depth=parts.depth,
        dispatch=dispatcher,
        clock=parts.clock,
        told=parts.told,
        proof=ItemProof(ComfyValidator(), parts.server, comfy_mappings),
        origin=parts.identity.origin_of_new_jobs,
        inputs=None if parts.files.homeward is None else parts.files.homeward.inputs,
        usual_pool=parts.roster.usual,
        abroad=parts.abroad,
    )
    rerun = Rerun(
        dispatch=dispatcher, endings=parts.told.endings, running=parts.live.running_item, free_memory=free_memory
    )
    return Machine(
        runs=runs,
        dispatcher=dispatcher,
        wiring=wiring,
        rerun=rerun,
        watchdog=_watchdog(parts, runs, dispatcher, wiring),
        glimpses=Glimpses(parts.hub, runs, parts.clock, time.monotonic),
        parking=parts.parking,
        own_job=OwnJob(parts.store, runs.attempt_of, parts.settings.store_deadline_s),
    )


def worker_alive(wiring: QueueWiring) -> bool | None:
    """Whether ComfyUI's worker thread lives; None until it has asked for work the first time."""
    return None if wiring.worker is None else wiring.worker.is_alive()


def _dispatcher(parts: MachineParts, runs: RunTable) -> Dispatcher:
    dispatcher = Dispatcher(
        store=parts.store,
        runs=runs,
        files=ComfyFiles(parts.files.copies),
        observer=parts.metrics,
        retries=_retries(parts.settings),
        clock=parts.clock,
        monotonic=time.monotonic,
        deadline_s=parts.settings.store_deadline_s,
        draining=lambda: not parts.flow.claims,
        resident=parts.residents,
        abilities=parts.roster if parts.identity.shared else None,
    )
    dispatcher.join_parking(parts.parking)
    if parts.files.homeward is not None:
        dispatcher.join(parts.files.homeward.handover)
    return dispatcher


def _retries(settings: Settings) -> RetryRules:
    backoff = Backoff(base_s=settings.backoff_base_s, max_s=settings.backoff_max_s)
    policy = RetryPolicy(max_attempts=settings.max_attempts, backoff=backoff, levels=settings.retry_levels)
    return RetryRules(CauseTable(settings.cause_rules), policy, random.random)


def _watchdog(parts: MachineParts, runs: RunTable, dispatcher: Dispatcher, wiring: QueueWiring) -> Watchdog:
    settings = parts.settings
    return Watchdog(
        runs=runs,
        dispatcher=dispatcher,
        patience=Patience(settings.stall_timeout_s, settings.kill_grace_s, settings.exit_on_stall),
        waits=lambda: {wait.prompt_id for wait in parts.mailbox.pending()},
        worker_alive=lambda: worker_alive(wiring),
        exit_=parts.leaving,
    )
