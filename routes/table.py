"""Every route of ours, in one list. Registered without ``/api``: ComfyUI doubles each under that prefix."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from .batches import BatchRoutes
from .deliveries import DeliveryRoutes
from .errors import Handler, boundary
from .events import EventRoutes
from .guard import OPEN_PATHS, Guard, no_guard
from .jobs import JobRoutes
from .messages import MessageRoutes
from .metrics import MetricsRoutes
from .operations import OperationRoutes
from .outputs import OutputRoutes
from .spec import SpecRoutes
from .status import StatusRoutes
from .tokens import TokenRoutes
from .workers import WorkerRoutes


@dataclass(frozen=True, slots=True)
class RouteSets:
    """The objects that have the handlers, one for each group of routes."""

    jobs: JobRoutes
    batches: BatchRoutes
    outputs: OutputRoutes
    operations: OperationRoutes
    status: StatusRoutes
    messages: MessageRoutes
    metrics: MetricsRoutes
    tokens: TokenRoutes
    events: EventRoutes
    spec: SpecRoutes
    deliveries: DeliveryRoutes
    workers: WorkerRoutes


def route_table(sets: RouteSets, *, guard: Guard = no_guard) -> tuple[web.RouteDef, ...]:
    """Method, path and handler of every route, each behind the error boundary and, but for those of monitoring, ``guard``."""
    rows: tuple[tuple[str, str, Handler], ...] = (
        ("POST", "/expeditor/submit", sets.jobs.submit),
        ("POST", "/expeditor/validate", sets.jobs.validate),
        ("GET", "/expeditor/schema", sets.jobs.schema),
        ("GET", "/expeditor/schema/{class_type}", sets.jobs.node_schema),
        ("GET", "/expeditor/jobs", sets.jobs.list),
        ("POST", "/expeditor/jobs/retry", sets.operations.retry),
        ("POST", "/expeditor/jobs/cancel", sets.operations.cancel),
        ("GET", "/expeditor/jobs/{job_id}", sets.jobs.get),
        ("GET", "/expeditor/jobs/{job_id}/events", sets.events.of_job),
        ("GET", "/expeditor/events", sets.events.of_many),
        ("POST", "/expeditor/jobs/{job_id}/cancel", sets.jobs.cancel),
        ("POST", "/expeditor/jobs/{job_id}/priority", sets.jobs.priority),
        ("POST", "/expeditor/jobs/{job_id}/hold", sets.jobs.hold),
        ("POST", "/expeditor/jobs/{job_id}/release", sets.jobs.release),
        ("POST", "/expeditor/jobs/{job_id}/retry", sets.jobs.retry),
        ("GET", "/expeditor/jobs/{job_id}/outputs/{number}", sets.outputs.content),
        ("POST", "/expeditor/batches", sets.batches.submit),
        ("GET", "/expeditor/batches/{batch_id}", sets.batches.get),
        ("GET", "/expeditor/batches/{batch_id}/results", sets.batches.results),
        ("GET", "/expeditor/batches/{batch_id}/results.zip", sets.batches.files),
        ("POST", "/expeditor/batches/{batch_id}/cancel", sets.batches.cancel),
        ("POST", "/expeditor/batches/{batch_id}/retry", sets.batches.retry),
        ("GET", "/expeditor/queue", sets.operations.look),
        ("POST", "/expeditor/queue/pause", sets.operations.pause),
        ("POST", "/expeditor/queue/resume", sets.operations.resume),
        ("POST", "/expeditor/queue/drain", sets.operations.drain),
        ("POST", "/expeditor/queue/clear", sets.operations.clear),
        *_of_the_server(sets),
    )
    return tuple(
        web.route(method, path, boundary(handler if path in OPEN_PATHS else guard(handler)))
        for method, path, handler in rows
    )


def _of_the_server(sets: RouteSets) -> tuple[tuple[str, str, Handler], ...]:
    return (
        ("GET", "/expeditor/health", sets.status.health),
        ("GET", "/expeditor/ready", sets.status.ready),
        ("POST", "/expeditor/messages", sets.messages.post),
        ("GET", "/expeditor/messages/pending", sets.messages.pending),
        ("GET", "/expeditor/messages/{token}/images/{n}", sets.messages.image),
        ("GET", "/expeditor/metrics", sets.metrics.exposition),
        ("GET", "/expeditor/tokens", sets.tokens.list),
        ("GET", "/expeditor/workers", sets.workers.list),
        ("GET", "/expeditor/workers/{name}", sets.workers.one),
        ("POST", "/expeditor/workers/pause", sets.workers.pause_all),
        ("POST", "/expeditor/workers/drain", sets.workers.drain_all),
        ("POST", "/expeditor/workers/resume", sets.workers.resume_all),
        ("POST", "/expeditor/workers/{name}/pause", sets.workers.pause),
        ("POST", "/expeditor/workers/{name}/drain", sets.workers.drain),
        ("POST", "/expeditor/workers/{name}/resume", sets.workers.resume),
        ("GET", "/expeditor/openapi.json", sets.spec.openapi),
        ("GET", "/expeditor/deliveries", sets.deliveries.list),
        ("POST", "/expeditor/deliveries/replay", sets.deliveries.replay_all),
        ("GET", "/expeditor/deliveries/{delivery_id}", sets.deliveries.get),
        ("POST", "/expeditor/deliveries/{delivery_id}/replay", sets.deliveries.replay),
    )
