"""The part of ``services`` about the instances that share the queue: makes and joins who announces, who knows, and who is asked. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..dispatch.runs import RunTable
from ..host.abilities import comfy_capabilities
from ..host.capabilities import Sample
from ..host.comfy import version
from ..host.residents import Residents
from ..intake.flow import Flow
from ..intake.operations import QueueOperations
from ..intake.ports import Instances
from ..intake.workers import WorkerService
from ..jobs.awaiting import Awaiter
from ..jobs.instances import Device, Instance, InstanceState, Role
from ..store.base import Clock, JobStore
from ..store.instances import InstanceRegistry
from ..store.relay import Relay
from ..telemetry.metrics import Metrics
from .alone import AloneInstance
from .health import VERSION
from .identity import Identity
from .lives import Lives
from .members import Members, Picture
from .membership import Membership, SharedInstances, Standing
from .settings import Settings
from .storage import order_policy


class Shared(Protocol):
    """What is shared besides the queue; ``cluster`` fits."""

    @property
    def registry(self) -> InstanceRegistry:
        """Who is there."""
        ...

    @property
    def relay(self) -> Relay:
        """Short words between instances."""
        ...


@dataclass(frozen=True, slots=True)
class Company:
    """``membership``: None where this instance shares its queue with nobody."""

    workers: WorkerService
    membership: Membership | None
    about: AboutMe


@dataclass(frozen=True, slots=True)
class CompanyParts:
    """What it is made of. ``shared``: None for a store of one process."""

    settings: Settings
    identity: Identity
    shared: Shared | None
    members: Members
    flow: Flow
    runs: RunTable
    residents: Residents
    metrics: Metrics
    store: JobStore
    queue: QueueOperations
    awaiter: Awaiter
    clock: Clock
    wake: Callable[[], None]
    data_dir: Path


class AboutMe:
    """This instance as it tells of itself. Quick, from any thread."""

    def __init__(self, parts: CompanyParts) -> None:
        """``sampled`` is given later: the sampler starts with the server."""
        self._parts = parts
        self._started_at_s: float | None = None
        self._order = order_policy(parts.settings).signature
        self.sampled: Callable[[], Sample] = Sample

    def now(self) -> Instance:
        """As it is now."""
        parts, identity, now_s = self._parts, self._parts.identity, self._parts.clock()
        self._started_at_s = self._started_at_s or now_s
        return Instance(
            name=identity.name,
            boot_id=identity.boot_id,
            url=identity.url,
            version=VERSION,
            comfyui_version=version(),
            started_at_s=self._started_at_s,
            seen_at_s=now_s,
            state=self._state(),
            roles=tuple(Role(role) for role in dict.fromkeys(parts.settings.roles)),
            pools=tuple(dict.fromkeys(parts.settings.pools)),
            running=tuple(run.job_id for run in parts.runs.signs()),
            resident=tuple(sorted(parts.residents.models())),
            devices=tuple(Device(each.device, each.total_bytes, each.free_bytes) for each in self.sampled().memory),
            busy_ratio=parts.metrics.worker_busy_ratio(),
            order=self._order,
        )

    def _state(self) -> InstanceState:
        flow = self._parts.flow
        alone = self._parts.shared is None
        return InstanceState.PAUSED if alone and flow.paused and not flow.draining else flow.state


def members_of(settings: Settings, identity: Identity) -> Members:
    """What this instance knows of the others: nothing yet."""
    works = "worker" in settings.roles or not identity.shared
    return Members(identity.name, tuple(dict.fromkeys(settings.pools)), works=works, shared=identity.shared)


def flow_of(settings: Settings, identity: Identity) -> Flow:
    """Open for what the roles of this instance are; one that stands alone has all of them."""
    alone = not identity.shared
    return Flow(accepts=alone or "api" in settings.roles, works=alone or "worker" in settings.roles)


def build_company(parts: CompanyParts) -> Company:
    """Make and join it."""
    about, identity = AboutMe(parts), parts.identity
    parts.metrics.workers(lambda: _counted(parts, about))
    if parts.shared is None:
        instances: Instances = AloneInstance(about.now, comfy_capabilities, parts.queue)
        return Company(WorkerService(instances, identity.name), None, about)
    membership = _membership(parts, parts.shared, about)
    instances = SharedInstances(parts.shared.registry, parts.store.page, parts.awaiter, identity.name, membership.hear)
    return Company(WorkerService(instances, identity.name), membership, about)


def _membership(parts: CompanyParts, shared: Shared, about: AboutMe) -> Membership:
    async def refresh() -> None:
        # Another instance may have paused or resumed the whole queue.
        parts.flow.restore((await parts.awaiter.settled(parts.store.summary())).paused)

    return Membership(
        registry=shared.registry,
        relay=shared.relay,
        members=parts.members,
        standing=Standing(about.now, comfy_capabilities, refresh),
        flow=parts.flow,
        wake=parts.wake,
        lives=Lives(parts.data_dir, parts.identity.name),
        awaiter=parts.awaiter,
    )


def _counted(parts: CompanyParts, about: AboutMe) -> dict[str, int]:
    if parts.shared is None:
        return Members.counted(Picture({parts.identity.name: about.now()}))
    return Members.counted(parts.members.picture)
