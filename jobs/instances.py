"""What an instance is: one ComfyUI process among several on one queue. Its name, its lives, and what it tells of itself.

Pure vocabulary. Does not own where this is kept (``store.instances``) nor what follows from it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import Enum

from .model import DEFAULT_POOL

NAME_MAX = 63
_NAME = re.compile(rf"[a-z0-9]([a-z0-9._-]{{0,{NAME_MAX - 1}}})?")
_POOL = re.compile(r"[a-z0-9]([a-z0-9_-]{0,31})?")
_LIFE = "/"


class Role(str, Enum):
    """What an instance does: ``API`` accepts submissions, ``WORKER`` runs jobs."""

    API = "api"
    WORKER = "worker"


class InstanceState(str, Enum):
    """``ACTIVE``: claims; ``PAUSED``: accepts and claims nothing; ``DRAINING``: refuses, finishes what runs; ``GONE``: not heard of for
    longer than a heartbeat may take."""

    ACTIVE = "active"
    PAUSED = "paused"
    DRAINING = "draining"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator (or the processor)."""

    name: str
    vram_total_bytes: int | None = None
    vram_free_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an instance can run: its node classes and the model files on its disk, named as prompts name them."""

    node_classes: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()

    def lacks(self, node_classes: frozenset[str], models: frozenset[str]) -> frozenset[str]:
        """Which of these it has not; empty: it can run them."""
        return (node_classes - self.node_classes) | (models - self.models)

    @property
    def mark(self) -> str:
        """Another one whenever something comes or goes."""
        told = "\n".join([*sorted(self.node_classes), "", *sorted(self.models)])
        return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Instance:
    """What an instance tells of itself with every heartbeat. Times are the queue's clock's.

    ``name`` is unique and stays the same over restarts; ``boot_id`` names this life; ``url`` is where the others reach it.
    ``order``: how it orders the queue (``OrderPolicy.signature``), empty of a version that does not tell.
    ``running``: the ids of the jobs on its machine; ``resident``: the model files in memory; ``capabilities_mark`` changes when
    what it can run does.
    """

    name: str
    boot_id: str
    url: str
    version: str
    comfyui_version: str
    started_at_s: float
    seen_at_s: float
    state: InstanceState = InstanceState.ACTIVE
    roles: tuple[Role, ...] = (Role.API, Role.WORKER)
    pools: tuple[str, ...] = (DEFAULT_POOL,)
    running: tuple[str, ...] = ()
    resident: tuple[str, ...] = ()
    devices: tuple[Device, ...] = field(default=())
    capabilities_mark: str = ""
    busy_ratio: float | None = None
    order: str = ""


def boot_id_of(instance: str, life: str) -> str:
    """The id of one life of an instance, as attempts name it."""
    return f"{instance}{_LIFE}{life}"


def instance_of(boot_id: str) -> str | None:
    """The instance whose life this is; None for a life of a server that stands alone."""
    name, slash, _ = boot_id.rpartition(_LIFE)
    return name if slash else None


def is_name(text: str) -> bool:
    """Whether an instance may be called so: it becomes part of keys, folders and addresses."""
    return _NAME.fullmatch(text) is not None


def is_pool(text: str) -> bool:
    """Whether a pool may be called so."""
    return _POOL.fullmatch(text) is not None


def name_from(text: str) -> str:
    """A name made of any text, for example of a host's name and a port."""
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")
    return name[:NAME_MAX] or "instance"
