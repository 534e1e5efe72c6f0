"""The part of ``services`` that makes what keeps things on disk. Opens nothing yet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..host.comfy import folder_of
from ..host.files import Leftovers, OutputFinder, TempCopies
from ..host.uploads import InputUploads
from ..intake.ports import OutputFiles
from ..intake.upload_names import STORED
from ..jobs.affinity import AffinityPolicy
from ..jobs.events import Publisher
from ..jobs.ordering import OrderPolicy
from ..store.base import Clock, JobStore, Room
from ..store.memory import MemoryStore
from ..store.sqlite import SqliteStore
from ..telemetry.metrics import Metrics
from .cluster import Cluster
from .homeward import Homeward, HomewardParts, build_homeward
from .settings import Settings

DATABASE_NAME = "expeditor.sqlite3"
TEMP_COPIES = "temp_outputs"
UPLOADS = "uploads"
WAITS = "waits"


@dataclass(frozen=True, slots=True)
class JobFiles:
    """Who looks after the files of jobs; ``copies``: None where files of ``temp`` are not kept, ``homeward``: where no other instance has
    any."""

    copies: TempCopies | None
    uploads: InputUploads
    leftovers: Leftovers
    outputs: OutputFiles
    homeward: Homeward | None

    def fault(self) -> str | None:
        """Why results cannot go where they belong now, or None."""
        return None if self.homeward is None else self.homeward.fault()


def build_files(settings: Settings, data_dir: Path, others: HomewardParts | None) -> JobFiles:
    """Who looks after files in ComfyUI's folders; ``others``: what is known of other instances, if there are any."""
    copies = TempCopies(folder_of, data_dir / TEMP_COPIES) if settings.keep_temp_outputs else None
    homeward = None if others is None else build_homeward(replace(others, copies=copies))
    return JobFiles(
        copies=copies,
        uploads=InputUploads(folder_of, data_dir / UPLOADS, STORED),
        leftovers=Leftovers(folder_of),
        outputs=OutputFinder(folder_of) if homeward is None else homeward.outputs,
        homeward=homeward,
    )


def order_policy(settings: Settings) -> OrderPolicy:
    """How the queue is ordered."""
    return OrderPolicy(strict=settings.ordering == "strict", ageing_s=settings.ageing_s, weights=settings.weights)


def build_store(
    settings: Settings,
    data_dir: Path,
    publisher: Publisher,
    metrics: Metrics,
    clock: Clock,
    boot_id: str,
    cluster: Cluster | None = None,
    room: Room | None = None,
) -> JobStore:
    """The queue that the settings ask for; ``boot_id`` names this process's life. ``cluster``: where others share it, and then ``room``
    says whether more jobs may wait."""
    policy = order_policy(settings)
    affinity = AffinityPolicy(slack_s=settings.affinity_slack_s, strict=policy.strict)
    if cluster is not None:
        return _shared(settings, publisher, metrics, boot_id, cluster, policy, affinity, room)
    if settings.store == "memory":
        return MemoryStore(
            policy=policy, clock=clock, boot_id=boot_id, publisher=publisher, observer=metrics, affinity=affinity
        )
    return SqliteStore(
        path=data_dir / DATABASE_NAME,
        policy=policy,
        clock=clock,
        boot_id=boot_id,
        publisher=publisher,
        observer=metrics,
        affinity=affinity,
        commit_delay_s=settings.store_commit_delay_s,
        check_s=settings.store_check_s,
    )


def _shared(  # noqa: PLR0913, PLR0917 - one for each part
    settings: Settings,
    publisher: Publisher,
    metrics: Metrics,
    boot_id: str,
    cluster: Cluster,
    policy: OrderPolicy,
    affinity: AffinityPolicy,
    room: Room | None,
) -> JobStore:
    from ..store.bullmq.adapter import BullmqStore  # noqa: PLC0415 - needs libraries that only a cluster has

    return BullmqStore(
        connections=cluster.connections,
        namespace=settings.store_namespace,
        policy=policy,
        clock=cluster.clock,
        boot_id=boot_id,
        publisher=publisher,
        observer=metrics,
        neighbours=cluster.neighbours,
        affinity=affinity,
        lease_s=settings.lease_s,
        pools=settings.pools,
        room=room,
    )
