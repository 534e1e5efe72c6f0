"""The part of ``services`` that makes everybody who hears committed events. No I/O, no threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..events.bus import Bus
from ..events.changes import JobChanges
from ..events.hub import Hub
from ..events.webhooks.filling import WebhookEars
from ..host.notifier import Notifier
from ..jobs.events import Publisher
from ..telemetry.listener import TelemetryListener
from ..telemetry.metrics import Metrics
from .settings import Settings
from .webhooks import targets_of


@dataclass(frozen=True, slots=True)
class Audience:
    """Who hears what happened; the store publishes to ``bus``."""

    bus: Bus
    notifier: Notifier
    changes: JobChanges
    hub: Hub
    ears: WebhookEars


@dataclass(frozen=True, slots=True)
class AudienceParts:
    """What it is made of. ``first``: who keeps the queue in step, and hears before all others; ``here``: this
    instance's name where several share the queue."""

    server: Any
    metrics: Metrics
    notifier: Notifier
    first: tuple[Publisher, ...]
    settings: Settings
    here: str | None = None


def build_audience(parts: AudienceParts) -> Audience:
    """Make and join it."""
    changes, hub, ears = JobChanges(), Hub(), WebhookEars(targets_of(parts.settings, parts.here))
    bus = Bus((*parts.first, TelemetryListener(parts.metrics), parts.notifier, changes, hub, ears))
    return Audience(bus, parts.notifier, changes, hub, ears)
