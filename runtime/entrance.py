"""The half of ``services`` behind the routes and the middleware: makes and joins what lets jobs in. No I/O, no threads."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from ..dispatch.runs import RunTable
from ..events.streams import StreamLimits, Streams
from ..host.definitions import LiveDefinitions
from ..host.door import Door
from ..host.validator import ComfyValidator
from ..intake.abroad import Abroad, ForOthers
from ..intake.batch_entries import BatchEntries
from ..intake.batch_preview import BatchPreviews
from ..intake.batch_views import BatchViews
from ..intake.batches import BatchRules, BatchService
from ..intake.bulk import BulkService
from ..intake.cancelling import Canceller
from ..intake.ceilings import Ceilings
from ..intake.depth import QueueDepth
from ..intake.flow import Flow
from ..intake.gate import StockGate
from ..intake.holding import HeldRequests
from ..intake.idempotency import Repeats, Reservations
from ..intake.job_outputs import JobOutputs
from ..intake.job_views import JobViews
from ..intake.judges import Judges
from ..intake.operations import QueueOperations
from ..intake.ports import Runs
from ..intake.redriving import Redriver
from ..intake.service import JobService
from ..intake.tokens import Token, Tokens
from ..intake.uploads import UploadDesk, UploadLimits
from ..intake.v2.holding import HeldPolls
from ..intake.v2.service import ContractJobs, ContractParts
from ..intake.validation import PromptValidation, ValidationRules
from ..jobs.awaiting import Awaiter
from ..jobs.model import WebhookTarget
from ..jobs.principals import PrincipalRules
from ..store.base import Clock, JobStore
from .audience import Audience
from .members import Members
from .retention import retention
from .settings import Settings
from .settings_api import TokenSettings
from .shelf import Shelf
from .storage import JobFiles
from .webhooks import rules_of


@dataclass(frozen=True, slots=True)
class Entrance:
    """The use cases that routes call, and what stands in front of stock routes. ``for_others``: None where there are none."""

    jobs: JobService
    batches: BatchService
    bulk: BulkService
    queue: QueueOperations
    validation: PromptValidation
    gate: StockGate
    repeats: Repeats
    contract: ContractJobs
    shelf: Shelf
    tokens: Tokens
    held: HeldRequests
    uploads: UploadDesk
    streams: Streams
    outputs: JobOutputs
    abroad: Abroad
    for_others: ForOthers | None


@dataclass(frozen=True, slots=True)
class IntakeParts:
    """What it is made of."""

    settings: Settings
    store: JobStore
    door: Door
    flow: Flow
    depth: QueueDepth
    runs: RunTable
    awaiter: Awaiter
    clock: Clock
    audience: Audience
    files: JobFiles
    shelf: Shelf
    roster: Members
    everywhere: Runs


def build_entrance(parts: IntakeParts) -> Entrance:
    """Make and join it."""
    validation, tokens = _validation(parts.settings), _tokens(parts.settings)
    repeats = Repeats(parts.store, parts.awaiter, Reservations(parts.settings.store_deadline_s))
    store, door, runs, awaiter = parts.store, parts.door, parts.everywhere, parts.awaiter
    views = JobViews(store=store, runs=runs, flow=parts.flow, clock=parts.clock, awaiter=awaiter, roster=parts.roster)
    canceller = Canceller(store, runs)
    redriver = Redriver(store, awaiter)
    bulk = BulkService(store=store, views=views, canceller=canceller, redriver=redriver, awaiter=awaiter)
    judges = _judges(parts, validation, tokens)
    return Entrance(
        jobs=JobService(
            store=store,
            judges=judges,
            door=door,
            views=views,
            canceller=canceller,
            redriver=redriver,
            clock=parts.clock,
            new_id=_new_id,
            awaiter=awaiter,
            repeats=repeats,
        ),
        batches=_batches(parts, judges, validation, views, bulk, repeats),
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
            roster=parts.roster,
        ),
        validation=validation,
        gate=_gate(parts, validation, tokens),
        streams=_streams(parts),
        repeats=repeats,
        shelf=parts.shelf,
        contract=_contract(parts, judges, canceller, repeats),
        tokens=tokens,
        held=HeldRequests(parts.audience.changes, views),
        uploads=UploadDesk(parts.files.uploads, _upload_limits(parts.settings)),
        outputs=JobOutputs(views, parts.files.outputs),
        abroad=judges.abroad,
        for_others=_for_others(parts, judges),
    )


def _batches(
    parts: IntakeParts,
    judges: Judges,
    validation: PromptValidation,
    views: JobViews,
    bulk: BulkService,
    repeats: Repeats,
) -> BatchService:
    settings, store, awaiter = parts.settings, parts.store, parts.awaiter
    entries = BatchEntries(judges, validation, most_bytes=settings.max_batch_bytes, clock=parts.clock, new_id=_new_id)
    return BatchService(
        rules=BatchRules(settings.max_batch_jobs, validation.declared),
        judges=judges,
        entries=entries,
        previews=BatchPreviews(
            store=store,
            entries=entries,
            depth=parts.depth,
            flow=parts.flow,
            new_id=_new_id,
            awaiter=awaiter,
            roster=parts.roster,
        ),
        door=parts.door,
        views=BatchViews(store, views, awaiter),
        bulk=bulk,
        repeats=repeats,
        clock=parts.clock,
        new_id=_new_id,
    )


def _new_id() -> str:
    return str(uuid.uuid4())


def _contract(parts: IntakeParts, judges: Judges, canceller: Canceller, repeats: Repeats) -> ContractJobs:
    made = ContractParts(
        store=parts.store,
        judges=judges,
        door=parts.door,
        canceller=canceller,
        runs=parts.everywhere,
        repeats=repeats,
        assets=parts.shelf.references,
        awaiter=parts.awaiter,
        clock=parts.clock,
        new_id=_new_id,
        kept={status: kept.age_s for status, kept in retention(parts.settings).kept.items()},
    )
    return ContractJobs(made, HeldPolls(parts.audience.changes, parts.settings.v2_held_poll_s))


def _judges(parts: IntakeParts, validation: PromptValidation, tokens: Tokens) -> Judges:
    return Judges(
        validation=validation,
        core=ComfyValidator(),
        depth=parts.depth,
        principals=_principals(parts.settings),
        ceilings=_ceilings(parts.settings),
        tokens=tokens,
        webhooks=rules_of(parts.settings),
        roster=parts.roster,
        abroad=_abroad(parts),
    )


def _abroad(parts: IntakeParts) -> Abroad:
    homeward = parts.files.homeward
    return Abroad() if homeward is None else Abroad(parts.roster, homeward.questions)


def _for_others(parts: IntakeParts, judges: Judges) -> ForOthers | None:
    homeward = parts.files.homeward
    return None if homeward is None else ForOthers(judges, homeward.inputs)


def _upload_limits(settings: Settings) -> UploadLimits:
    return UploadLimits(files=settings.max_upload_files, size_bytes=settings.max_upload_bytes)


def _streams(parts: IntakeParts) -> Streams:
    settings = parts.settings
    limits = StreamLimits(settings.event_streams_max, settings.stream_buffer, settings.stream_patience_s)
    return Streams(parts.audience.hub, parts.store, parts.awaiter, limits)


def _ceilings(settings: Settings) -> Ceilings:
    tokens = settings.tokens.items()
    own = {name: token.max_priority for name, token in tokens if token.max_priority is not None}
    defaults = {name: token.priority for name, token in tokens if token.priority is not None}
    return Ceilings(settings.max_priority, {**settings.priority_ceilings, **own}, defaults)


def _tokens(settings: Settings) -> Tokens:
    return Tokens(
        [_token(name, token) for name, token in settings.tokens.items()],
        required=settings.require_token,
    )


def _token(name: str, token: TokenSettings) -> Token:
    url = None if token.webhook is None else token.webhook.get_secret_value()
    webhook = None if url is None else WebhookTarget(url, tuple(token.webhook_events))
    return Token(name, token.digest, token.priority, token.max_priority, webhook, admin=token.admin)


def _principals(settings: Settings) -> PrincipalRules:
    return PrincipalRules(
        from_client_id=settings.principal_from_client_id,
        user_header=settings.trusted_user_header,
        proxies=tuple(settings.trusted_proxies),
    )


def _validation(settings: Settings) -> PromptValidation:
    definitions = LiveDefinitions()
    return PromptValidation(definitions, _rules(settings), output_types=definitions.output_types)


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


def _gate(parts: IntakeParts, validation: PromptValidation, tokens: Tokens) -> StockGate:
    settings = parts.settings
    return StockGate(
        validation=validation,
        principals=_principals(settings),
        ceilings=_ceilings(settings),
        depth=parts.depth,
        max_bytes=settings.max_body_bytes,
        max_depth=settings.max_depth,
        tokens=tokens,
        roster=parts.roster,
    )
