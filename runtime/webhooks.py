"""The part of ``services`` that tells events over HTTP: makes and joins outbox, filling and worker, and runs them.

Starts nothing before ``run``. Whatever goes wrong here costs no job: the outbox is opened again later, and the event log has what
was not told.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..events.webhooks.filling import Filling, WebhookEars
from ..events.webhooks.ports import Counted, Log
from ..events.webhooks.retrying import JITTER, LONGEST_DELAY_S, RetryPlan
from ..events.webhooks.sending import Resolver, Sender, SystemResolver
from ..events.webhooks.signing import BadSecret, Signer, Signers, secrets_of
from ..events.webhooks.targets import Targets
from ..events.webhooks.worker import Clocks, DeliveryWorker
from ..intake.deliveries import DeliveryService
from ..jobs.awaiting import Awaiter
from ..jobs.errors import StoreUnavailable
from ..jobs.events import LoggedEvent
from ..jobs.model import Job, WebhookTarget
from ..jobs.webhook_rules import WebhookRules
from ..routes.webhooks import webhook_body
from ..store.base import Clock, StoreState
from ..store.deliveries import DeliveryStore, KeptDeliveries
from ..store.sqlite.deliveries import SqliteDeliveries
from .health import VERSION
from .settings import Settings
from .webhook_secret import kept_secrets

log = logging.getLogger("expeditor.runtime")

DATABASE_NAME = "deliveries.sqlite3"
REOPEN_S = 30.0
LOOK_BACK_S = 3_600.0
"""After a damaged outbox, events of the last hour are told again, under their old ids; what is older was told, most likely."""


@dataclass(frozen=True, slots=True)
class WebhookParts:
    """What it is made of. ``data_dir`` None: nothing is kept, as with the memory store; the secret then dies with the process."""

    settings: Settings
    data_dir: Path
    log: Log
    ears: WebhookEars
    counted: Counted
    clock: Clock
    awaiter: Awaiter
    here: str | None = None


class Webhooks:
    """See the module's docstring. ``service`` is for the routes."""

    def __init__(self, parts: WebhookParts) -> None:
        """No I/O."""
        self._parts = parts
        self._outbox: DeliveryStore = _outbox(parts.settings, parts.data_dir, parts.clock)
        self._worker: DeliveryWorker | None = None
        self._silent: str | None = None
        self.service = DeliveryService(self._outbox, parts.awaiter, parts.clock, self._wake)

    def state(self) -> StoreState:
        """How the outbox is; ``error`` also when nothing can be sent for another reason. No I/O."""
        state = self._outbox.state()
        return replace(state, error=state.error or self._silent)

    async def run(self) -> None:
        """Until cancelled; begins when the queue's store is open. Never raises but for a cancellation."""
        try:
            await self._run()
        except Exception:  # noqa: BLE001 - a task's exception is seen by nobody, and jobs run without webhooks
            self._silent = "They ended by a fault of ours; the log has it. A restart takes them up again."
            log.exception("Webhooks ended", extra={"event": "webhooks.failed"})

    async def _run(self) -> None:
        damaged = await self._opened()
        settings = self._parts.settings
        if not settings.webhooks:
            return
        signers = await self._signers()
        if signers is None:
            return
        self._worker = worker = self._made_worker(signers)
        filling = Filling(
            events=self._parts.log,
            outbox=self._outbox,
            ears=self._parts.ears,
            targets=targets_of(settings, self._parts.here),
            body=self._body,
            clock=self._parts.clock,
            filled=worker.wake,
        )
        since_s = self._parts.clock() - LOOK_BACK_S if damaged else 0.0
        await asyncio.gather(filling.run(not_before_s=since_s), worker.run())

    async def _opened(self) -> bool:
        told = ""
        while True:
            try:
                return await asyncio.to_thread(self._outbox.open)
            except StoreUnavailable as fault:
                if fault.message != told:
                    told = fault.message
                    log.warning("Webhooks wait, jobs run: %s", told, extra={"event": "webhooks.waiting"})
                await asyncio.sleep(REOPEN_S)

    async def _signers(self) -> Signers | None:
        settings = self._parts.settings
        try:
            if settings.webhook_secret is not None:
                server = secrets_of(settings.webhook_secret.get_secret_value())
            else:
                server = await asyncio.to_thread(kept_secrets, self._parts.data_dir)
        except (OSError, BadSecret) as fault:
            self._silent = f"No webhooks are sent: the secret that signs them cannot be had: {fault}"
            log.error("%s", self._silent, extra={"event": "webhooks.failed"})
            return None
        own = {name: token.webhook_secret for name, token in settings.tokens.items() if token.webhook_secret}
        tokens = {name: Signer(secrets_of(secret.get_secret_value())) for name, secret in own.items()}
        return Signers(Signer(server), tokens)

    def _made_worker(self, signers: Signers) -> DeliveryWorker:
        settings, outbox = self._parts.settings, self._outbox
        kept = KeptDeliveries(settings.keep_deliveries_s, settings.keep_failed_deliveries_s, settings.keep_deliveries)
        return DeliveryWorker(
            outbox=outbox,
            sender=Sender(
                rules_of(settings),
                self._resolver(),
                timeout_s=settings.webhook_timeout_s,
                user_agent=f"Expeditor/{VERSION}",
            ),
            signers=signers,
            plan=RetryPlan(settings.webhook_retry_delays_s, random.random),
            counted=self._parts.counted,
            clocks=Clocks(self._parts.clock, time.time, time.monotonic),
            prune=lambda now_s: outbox.prune(kept, now_s),
        )

    def _resolver(self) -> Resolver:
        return SystemResolver()

    def _body(self, event: LoggedEvent, job: Job) -> str:
        return webhook_body(event, job, self._parts.settings.public_url or "")

    def _wake(self) -> None:
        if self._worker is not None:
            self._worker.wake()


def targets_of(settings: Settings, here: str | None = None) -> Targets:
    """Whom the settings want told; nobody when webhooks are off. ``here``: this instance's name where several share the queue."""
    if not settings.webhooks:
        return Targets(per_job=False)
    tokens = {
        name: WebhookTarget(token.webhook.get_secret_value(), tuple(token.webhook_events))
        for name, token in settings.tokens.items()
        if token.webhook is not None
    }
    server = None
    if settings.webhook_url is not None:
        server = WebhookTarget(settings.webhook_url.get_secret_value(), tuple(settings.webhook_events))
    signers = frozenset(name for name, token in settings.tokens.items() if token.webhook_secret is not None)
    return Targets(tokens, server, signers, settings.webhook_per_job, here)


def rules_of(settings: Settings) -> WebhookRules:
    """What may be called."""
    return WebhookRules(
        per_job=settings.webhooks and settings.webhook_per_job,
        allow_http=settings.webhook_allow_http,
        networks=tuple(ipaddress.ip_network(each, strict=False) for each in settings.webhook_allow_networks),
        ports=tuple(settings.webhook_ports),
        hosts=tuple(settings.webhook_hosts),
    )


def _outbox(settings: Settings, data_dir: Path, clock: Callable[[], float]) -> SqliteDeliveries:
    path = None if settings.store == "memory" else data_dir / DATABASE_NAME
    longest_s = max(LONGEST_DELAY_S, *settings.webhook_retry_delays_s, 0.0) * (1 + JITTER)
    return SqliteDeliveries(path, clock, longest_delay_s=longest_s)
