"""Every route of ours, in one list. Registered without ``/api``: ComfyUI doubles each under that prefix."""

from __future__ import annotations

from aiohttp import web

from .errors import Handler, boundary
from .guard import OPEN_PATHS, Guard, no_guard
from .jobs import JobRoutes
from .messages import MessageRoutes
from .metrics import MetricsRoutes
from .operations import OperationRoutes
from .status import StatusRoutes
from .tokens import TokenRoutes


def route_table(
    jobs: JobRoutes,
    operations: OperationRoutes,
    status: StatusRoutes,
    messages: MessageRoutes,
    metrics: MetricsRoutes,
    tokens: TokenRoutes,
    *,
    guard: Guard = no_guard,
) -> tuple[web.RouteDef, ...]:
    """Method, path and handler of every route, each behind the error boundary and, but for those of monitoring, ``guard``."""
    rows: tuple[tuple[str, str, Handler], ...] = (
        ("POST", "/expeditor/submit", jobs.submit),
        ("POST", "/expeditor/validate", jobs.validate),
        ("GET", "/expeditor/schema", jobs.schema),
        ("GET", "/expeditor/schema/{class_type}", jobs.node_schema),
        ("GET", "/expeditor/jobs", jobs.list),
        ("POST", "/expeditor/jobs/retry", operations.retry),
        ("POST", "/expeditor/jobs/cancel", operations.cancel),
        ("GET", "/expeditor/jobs/{job_id}", jobs.get),
        ("POST", "/expeditor/jobs/{job_id}/cancel", jobs.cancel),
        ("POST", "/expeditor/jobs/{job_id}/priority", jobs.priority),
        ("POST", "/expeditor/jobs/{job_id}/hold", jobs.hold),
        ("POST", "/expeditor/jobs/{job_id}/release", jobs.release),
        ("POST", "/expeditor/jobs/{job_id}/retry", jobs.retry),
        ("GET", "/expeditor/queue", operations.look),
        ("POST", "/expeditor/queue/pause", operations.pause),
        ("POST", "/expeditor/queue/resume", operations.resume),
        ("POST", "/expeditor/queue/drain", operations.drain),
        ("POST", "/expeditor/queue/clear", operations.clear),
        ("GET", "/expeditor/health", status.health),
        ("GET", "/expeditor/ready", status.ready),
        ("POST", "/expeditor/messages", messages.post),
        ("GET", "/expeditor/messages/pending", messages.pending),
        ("GET", "/expeditor/metrics", metrics.exposition),
        ("GET", "/expeditor/tokens", tokens.list),
    )
    return tuple(
        web.route(method, path, boundary(handler if path in OPEN_PATHS else guard(handler)))
        for method, path, handler in rows
    )
