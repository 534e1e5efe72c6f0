"""The half of ``services`` behind the routes: makes and joins the use cases. Building does no I/O and starts nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from ..dispatch.runs import RunTable
from ..host.door import Door
from ..host.validator import ComfyValidator
from ..intake.bulk import BulkService
from ..intake.cancelling import Canceller
from ..intake.ceilings import Ceilings
from ..intake.depth import QueueDepth
from ..intake.flow import Flow
from ..intake.idempotency import Repeats
from ..intake.job_views import JobViews
from ..intake.operations import QueueOperations
from ..intake.redriving import Redriver
from ..intake.service import JobService, Judges
from ..intake.validation import PromptValidation
from ..jobs.awaiting import Awaiter
from ..jobs.principals import PrincipalRules
from ..store.base import JobStore
from .settings import Settings


@dataclass(frozen=True, slots=True)
class Entrance:
    """The use cases that routes call."""

    jobs: JobService
    bulk: BulkService
    queue: QueueOperations


@dataclass(frozen=True, slots=True)
class IntakeParts:
    """What the use cases are made of."""

    settings: Settings
    store: JobStore
    door: Door
    flow: Flow
    depth: QueueDepth
    runs: RunTable
    validation: PromptValidation
    awaiter: Awaiter
    clock: Callable[[], float]
    repeats: Repeats


def build_entrance(parts: IntakeParts) -> Entrance:
    """Make and join them."""
    store, door, runs, awaiter = parts.store, parts.door, parts.runs, parts.awaiter
    views = JobViews(store=store, runs=runs, flow=parts.flow, clock=parts.clock, awaiter=awaiter)
    canceller = Canceller(store, runs)
    redriver = Redriver(store, awaiter)
    bulk = BulkService(store=store, views=views, canceller=canceller, redriver=redriver, awaiter=awaiter)
    return Entrance(
        jobs=JobService(
            store=store,
            judges=Judges(
                validation=parts.validation,
                core=ComfyValidator(),
                depth=parts.depth,
                principals=principals(parts.settings),
                ceilings=ceilings(parts.settings),
            ),
            door=door,
            views=views,
            canceller=canceller,
            redriver=redriver,
            clock=parts.clock,
            new_id=lambda: str(uuid.uuid4()),
            awaiter=awaiter,
            repeats=parts.repeats,
        ),
        bulk=bulk,
        queue=QueueOperations(
            store=store,
            door=door,
            flow=parts.flow,
            depth=parts.depth,
            runs=runs,
            bulk=bulk,
            clock=parts.clock,
            awaiter=awaiter,
        ),
    )


def ceilings(settings: Settings) -> Ceilings:
    """Which priorities are allowed, by the settings."""
    return Ceilings(settings.max_priority, settings.priority_ceilings)


def principals(settings: Settings) -> PrincipalRules:
    """Who a request belongs to, by the settings."""
    return PrincipalRules(
        from_client_id=settings.principal_from_client_id,
        user_header=settings.trusted_user_header,
        proxies=tuple(settings.trusted_proxies),
    )
