"""``install()``: settings, services, hooks, routes, start-up. Called once by the pack's doorway; never raises.

With anything missing (no server, wrong settings, a ComfyUI that does not fit) it stands down with one clear log line and
ComfyUI goes on.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from ..host.comfy import cors_headers, private_folder, prompt_server
from ..host.context import note_client_id
from ..routes.asking import HERE, ONE_FOLDER, PUBLIC_URL
from ..routes.batches import BatchRoutes
from ..routes.deliveries import DeliveryRoutes
from ..routes.events import EventRoutes
from ..routes.guard import token_guard
from ..routes.jobs import JobRoutes
from ..routes.messages import MessageRoutes
from ..routes.metrics import MetricsRoutes
from ..routes.operations import OperationRoutes
from ..routes.outputs import OutputRoutes
from ..routes.peers import PeerPictures, PeerVerdicts, peer_table
from ..routes.spec import SpecRoutes
from ..routes.status import StatusRoutes
from ..routes.table import RouteSets, route_table
from ..routes.tokens import TokenRoutes
from ..routes.workers import WorkerRoutes
from ..telemetry.logs import configure
from .contract import Mount, contract_handlers, register_own
from .health import VERSION
from .hooks import install_hooks, stand_down
from .lifespan import Lifespan
from .services import Services, build, set_current
from .settings import Settings
from .settings_source import SettingsError, load

log = logging.getLogger("expeditor.runtime")


def install() -> None:
    """Put Expeditor into the running ComfyUI."""
    try:
        _install()
    except Exception:  # noqa: BLE001 - the pack's nodes and ComfyUI itself must load also when we do not fit
        log.warning(
            "Expeditor could not be installed; ComfyUI goes on without it",
            exc_info=True,
            extra={"event": "install.failed"},
        )


def _install() -> None:
    server = prompt_server()
    if server is None:
        log.warning("Expeditor stands down: there is no ComfyUI server in this process.")
        return
    data_dir = Path(os.environ.get("EXPEDITOR_DATA_DIR") or private_folder())
    try:
        settings = load(data_dir)
        if not settings.enabled:
            log.info("Expeditor is switched off by its settings.")
            return
        _configure_logs(settings)
        services = build(settings, server, data_dir)
    except SettingsError as error:
        log.warning("Expeditor stands down, ComfyUI goes on without it: %s", error)
        return
    set_current(services)
    install_hooks(services)
    try:
        _register(services, server)
    except Exception:
        # Without its start-up the swapped queue would never open.
        stand_down(services, "Expeditor's routes could not be registered; the log says why")
        raise
    log.info(
        "Expeditor is installed; settings %s", settings.redacted() or "as by default", extra={"event": "install.done"}
    )


def _register(services: Services, server: Any) -> None:
    metrics = MetricsRoutes(services.metrics, services.summary)
    jobs = JobRoutes(
        services.entrance.jobs,
        services.entrance.validation,
        services.entrance.held,
        services.entrance.uploads,
        max_bytes=services.settings.max_body_bytes,
        max_wait_s=services.settings.max_wait_s,
        user_header=services.settings.trusted_user_header,
        note_client_id=note_client_id,
    )
    entrance, tokens = services.entrance, services.entrance.tokens
    sets = RouteSets(
        jobs=jobs,
        batches=_batches(services),
        outputs=OutputRoutes(entrance.outputs),
        operations=OperationRoutes(entrance.queue, entrance.bulk, max_bytes=services.settings.max_body_bytes),
        status=StatusRoutes(services.health.facts, services.health.not_ready),
        messages=MessageRoutes(services.page.post),
        metrics=metrics,
        tokens=TokenRoutes(tokens),
        events=_events(services),
        spec=SpecRoutes(VERSION),
        deliveries=DeliveryRoutes(services.webhooks.service, max_bytes=services.settings.max_body_bytes),
        workers=WorkerRoutes(services.company.workers),
    )
    guard = token_guard(tokens)
    for route in route_table(sets, guard=guard):
        server.routes.route(route.method, route.path)(route.handler)
    for route in _peers(services):
        server.routes.route(route.method, route.path)(route.handler)
    if services.settings.public_url is not None:
        server.app[PUBLIC_URL] = services.settings.public_url
    if services.identity.shared:
        server.app[HERE] = services.identity.name
        server.app[ONE_FOLDER] = services.settings.results == "shared"
    v2 = contract_handlers(services, sets.status)
    register_own(server, v2, guard)
    server.app.on_startup.append(Mount(services.board, v2, guard, wanted=services.settings.hooks_api_v2).start)
    server.app.on_startup.append(Lifespan(services, metrics).start)


def _peers(services: Services) -> tuple[web.RouteDef, ...]:
    homeward, for_others = services.files.homeward, services.entrance.for_others
    if homeward is None or for_others is None:
        return ()
    verdicts = PeerVerdicts(for_others, max_bytes=2 * services.settings.max_body_bytes)
    return peer_table(homeward.routes, verdicts, PeerPictures(services.mailbox))


def _events(services: Services) -> EventRoutes:
    entrance, heartbeat_s = services.entrance, services.settings.stream_heartbeat_s
    return EventRoutes(entrance.streams, entrance.jobs, heartbeat_s=heartbeat_s, headers=cors_headers())


def _batches(services: Services) -> BatchRoutes:
    return BatchRoutes(
        services.entrance.batches,
        services.files.outputs,
        max_bytes=services.settings.max_body_bytes,
        user_header=services.settings.trusted_user_header,
        note_client_id=note_client_id,
    )


def _configure_logs(settings: Settings) -> None:
    path = Path(settings.log_file) if settings.log_file else None
    try:
        configure(sys.stderr, settings.log_level, settings.log_format, path)
    except OSError as error:
        log.warning("The log file cannot be opened, so lines go to standard error alone: %s", error)
