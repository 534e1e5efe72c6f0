"""Who this instance is among those that share a queue: its name, the id of this life, and where the others reach it.

Owns what is taken for each when the settings do not say. Not owned: whether somebody else has the name (``membership``) and what a name
may be (``jobs.instances``).
"""

from __future__ import annotations

import logging
import socket
import uuid
from contextlib import suppress
from dataclasses import dataclass

from ..host.comfy import Listening
from ..jobs.instances import boot_id_of, name_from
from .settings import Settings
from .settings_cluster import SHARED_SCHEMES

log = logging.getLogger("expeditor.runtime")

_ANY = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on
_ELSEWHERE = ("192.0.2.1", 9)
"""An address that nobody has: the system says from which of its own it would send there, and nothing is sent."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One life of one instance. ``shared``: others share its queue. ``boot_id`` is what attempts name; ``url`` has no slash at its end."""

    name: str
    boot_id: str
    url: str
    shared: bool

    @property
    def origin_of_new_jobs(self) -> str | None:
        """What jobs that are submitted here have as their origin."""
        return self.name if self.shared else None


def identity_of(settings: Settings, listening: Listening) -> Identity:
    """A new life of this instance. Of a store that is this process's own the life's id names no instance."""
    shared = is_shared(settings.store)
    name = settings.instance or name_from(f"{socket.gethostname()}-{listening.port}")
    url = (settings.instance_url or url_of(listening)).rstrip("/")
    life = uuid.uuid4().hex
    if shared:
        extra = {"event": "instance.named", "instance": name}
        text = "This is instance %s of a shared queue; the others reach it at %s (settings instance and instance_url)"
        log.info(text, name, url, extra=extra)
    return Identity(name, boot_id_of(name, life) if shared else life, url, shared)


def is_shared(store: str) -> bool:
    """Whether the setting ``store`` is the address of a queue that several instances share."""
    return store.startswith(SHARED_SCHEMES)


def url_of(listening: Listening) -> str:
    """Where a server that listens so is reached: by the address that it was given, or by this host's if it listens on all."""
    host = own_address() if listening.host in _ANY else listening.host
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if listening.tls else 'http'}://{shown}:{listening.port}"


def own_address() -> str:
    """The address that this host sends from; the loopback's where it has no network."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(_ELSEWHERE)
        return str(probe.getsockname()[0])
    return "127.0.0.1"
