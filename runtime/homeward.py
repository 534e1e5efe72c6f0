"""The part of ``services`` that makes what files of jobs need to travel between instances. No I/O; starts nothing.

A store that is this process's own has none of it. Which instances there are is read from the registry (``store.instances``).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..host.asking import PeerQuestions
from ..host.bucket import SCHEME, Bucket, missing_extra
from ..host.collecting import BucketFetcher, Collector, CollectPort
from ..host.comfy import folder_of
from ..host.desk import InputHashes, PeerDesk
from ..host.fetching import Fetcher
from ..host.files import Folders, OutputFinder, TempCopies
from ..host.foreign_inputs import ForeignInputs
from ..host.handover import Handover, Way
from ..host.landing import LandingGround
from ..host.mailing import Mailer
from ..host.owed import OwedFiles
from ..host.peers import Peers, PeerThread
from ..host.remote_outputs import RemoteOutputs
from ..host.remote_pictures import RemotePictures
from ..host.sending import Sender
from ..jobs.errors import StoreUnavailable
from ..jobs.homing import SENT_FOLDERS
from ..jobs.instances import Instance, InstanceState
from ..routes.peers import PeerRoutes
from ..store.base import Clock
from ..store.instances import InstanceRegistry
from .settings import Settings
from .settings_source import SettingsError
from .tidying import Tidying

_T = TypeVar("_T")

log = logging.getLogger("expeditor.runtime")

OWED = "owed_results"
FETCHED = "fetched_results"
FETCHED_MAX_BYTES = 4 * 1024**3
"""Results of jobs of others that somebody asked for here."""
INPUTS_MAX_BYTES = 16 * 1024**3
"""Input files of jobs of others."""
KNOWN_FOR_S = 2.0
SECRET_EVERY_S = 5.0
SECRET_FAULT_S = 3.0
"""A registry that did not tell the secret is not asked for it again before: heartbeats wait in the same line."""


class Membership:
    """Fits ``host.ports.Members``: what the registry says, remembered for a moment. Any thread; blocks."""

    def __init__(self, registry: InstanceRegistry, deadline_s: float, monotonic: Callable[[], float]) -> None:
        """``deadline_s`` bounds every wait for the registry."""
        self._registry = registry
        self._deadline_s = deadline_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._instances: tuple[float, dict[str, Instance]] | None = None
        self._secret: tuple[float, str] | None = None
        self._asked: Future[str] | None = None
        self._fault: tuple[float, str] | None = None

    def url_of(self, instance: str) -> str | None:
        """See ``Members``."""
        with self._lock:
            known = self._instances
        if known is None or known[0] + KNOWN_FOR_S < self._monotonic():
            listed = {one.name: one for one in self._wait(self._registry.instances())}
            known = (self._monotonic(), listed)
            with self._lock:
                self._instances = known
        found = known[1].get(instance)
        return None if found is None or found.state is InstanceState.GONE else found.url

    def names(self) -> frozenset[str]:
        """The instances that the registry lists now, also those that are gone."""
        return frozenset(one.name for one in self._wait(self._registry.instances()))

    def secret(self) -> str:
        """See ``Members``."""
        return self.secret_now(False)

    def secret_now(self, fresh: bool) -> str:
        """The secret; ``fresh``: as it is in the store now, looked at every few seconds at most, also when that fails."""
        with self._lock:
            known, fault = self._secret, self._fault
            if known is not None and not (fresh and known[0] + SECRET_EVERY_S < self._monotonic()):
                return known[1]
            if fault is not None and fault[0] + SECRET_FAULT_S > self._monotonic():
                raise StoreUnavailable(fault[1])
            # Whoever asks meanwhile waits for the same answer.
            if self._asked is None or self._asked.done():
                self._asked = self._registry.secret()
            asked = self._asked
        try:
            found = self._wait(asked)
        except StoreUnavailable as raised:
            with self._lock:
                self._fault = (self._monotonic(), raised.message)
            raise
        with self._lock:
            self._secret, self._fault = (self._monotonic(), found), None
        return found

    def _wait(self, future: Future[_T]) -> _T:
        if not wait([future], self._deadline_s).done:
            raise StoreUnavailable("The shared store did not answer in time.")
        return future.result()


@dataclass(frozen=True, slots=True)
class Homeward:
    """What travels between instances."""

    routes: PeerRoutes
    outputs: RemoteOutputs
    inputs: ForeignInputs
    questions: PeerQuestions
    handover: Handover
    tidying: Tidying
    thread: PeerThread
    landing: LandingGround
    pictures: RemotePictures
    bucket: Bucket | None = None
    collector: Collector | None = None

    def start(self) -> None:
        """Send what an earlier life of this instance owes, and remove now and then what nobody goes on sending. Any thread; waits
        for nothing."""
        self.handover.pay()
        if self.collector is not None:
            self.thread.run(self.collector.watch())
        self.thread.run(self.tidying.for_ever())

    def fault(self) -> str | None:
        """Why results cannot go home now, or those of others come here, or None."""
        bucket = None if self.bucket is None else self.bucket.error
        return bucket or self.landing.room.fault() or self.handover.fault()


@dataclass(frozen=True, slots=True)
class HomewardParts:
    """What it is made of. ``name`` is this instance's; ``clock`` the queue's; ``arrived`` as ``dispatch.ports.Homeward`` has it."""

    settings: Settings
    data_dir: Path
    name: str
    registry: InstanceRegistry
    clock: Clock
    arrived: Callable[[], None]
    copies: TempCopies | None = None
    folders: Folders = folder_of


def build_homeward(parts: HomewardParts) -> Homeward:
    """Make and join it. ``SettingsError`` when the library for a bucket is not installed."""
    members = Membership(parts.registry, parts.settings.store_deadline_s, time.monotonic)
    thread, peers, hashes = PeerThread(), Peers(members), InputHashes()
    owed, landing = OwedFiles(parts.data_dir / OWED), LandingGround(parts.folders, parts.copies)
    bucket = _bucket(parts.settings.results)
    collector = None if bucket is None else Collector(parts.name, bucket, landing)
    desk = PeerDesk(parts.name, parts.folders, owed.find, hashes)
    fetched = parts.data_dir / FETCHED
    fetcher = Fetcher(peers, fetched, FETCHED_MAX_BYTES)
    return Homeward(
        routes=PeerRoutes(desk, landing, members.secret_now, CollectPort(collector, thread)),
        outputs=RemoteOutputs(
            name=parts.name,
            local=OutputFinder(parts.folders),
            desk=desk.find,
            fetcher=fetcher if bucket is None else BucketFetcher(fetcher, bucket, parts.name),
            thread=thread,
            folder=fetched,
        ),
        inputs=ForeignInputs(
            name=parts.name,
            folders=parts.folders,
            hashes=hashes,
            peers=peers,
            thread=thread,
            fetcher=lambda folder: Fetcher(peers, folder, INPUTS_MAX_BYTES),
        ),
        questions=PeerQuestions(parts.name, peers, thread, 2 * parts.settings.max_body_bytes),
        handover=_handover(parts, thread, Sender(peers) if bucket is None else Mailer(bucket, peers), owed),
        tidying=Tidying(parts.name, landing, owed, members.names),
        thread=thread,
        landing=landing,
        pictures=RemotePictures(peers, thread),
        bucket=bucket,
        collector=collector,
    )


def _bucket(results: str) -> Bucket | None:
    if not results.startswith(SCHEME):
        return None
    missing = missing_extra()
    if missing is not None:
        raise SettingsError(missing)
    return Bucket(results)


def _handover(parts: HomewardParts, thread: PeerThread, way: Way, owed: OwedFiles) -> Handover:
    return Handover(
        name=parts.name,
        thread=thread,
        way=way,
        folders=parts.folders,
        owed=owed,
        handover_s=parts.settings.handover_s,
        clock=parts.clock,
        arrived=parts.arrived,
        kinds=SENT_FOLDERS - {"output"} if parts.settings.results == "shared" else SENT_FOLDERS,
    )
