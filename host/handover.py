"""Results go home: what a run made here is sent to the instance where its job was submitted, before the job's end is told.

Owns which files, how long the end waits for them, and that what did not arrive in time is sent later (``owed``), also after a restart. A
file that arrives in time is where ``jobs.homing`` says, or in its job's folder if that name was taken; one that did not gets the
name in its job's folder, which nobody else can take, so the record of the job is right in either case. Until it has arrived
it can be fetched from here. Nobody waits for an instance that
is known to be gone. Does not own the way (``sending``), names, nor the other end (``landing``).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..jobs.homing import (
    SENT_FOLDERS,
    ending_at_home,
    file_of,
    files_in,
    files_of_history,
    job_subfolder,
    placed,
    rewritten,
)
from ..jobs.leftovers import FileName
from ..jobs.model import Ending, Job
from ..jobs.parcels import Offer
from .files import Folders, located
from .landing import digest_of
from .owed import OwedFile, OwedFiles
from .peers import PeerAway, PeerGone, PeerRefused, PeerThread
from .sending import Changed

log = logging.getLogger("expeditor.host")

AT_ONCE = 3
"""How many files of one run are on their way at the same time."""
OWED_EVERY_S = 5.0


class Way(Protocol):
    """How a file gets home; ``sending`` fits."""

    async def send(self, origin: str, offer: Offer, path: Path) -> FileName:
        """Try until it is there: its name at home. Raises ``PeerRefused`` or ``Changed``."""
        ...

    async def send_once(self, origin: str, offer: Offer, path: Path) -> FileName:
        """One try; also raises ``PeerAway``."""
        ...


@dataclass(slots=True)
class _Run:
    """A foreign job on this machine. ``sent``: by the file's name, size and time here; where it is at home."""

    origin: str
    sent: dict[tuple[FileName, int, int], FileName] = field(default_factory=lambda: {})
    turns: dict[FileName, asyncio.Lock] = field(default_factory=dict[FileName, asyncio.Lock])
    """A node's files go early and again at the end: who comes second waits, and finds them sent."""


class Handover:
    """See the module's docstring. Fits ``dispatch.ports.Homeward``."""

    def __init__(
        self,
        *,
        name: str,
        thread: PeerThread,
        way: Way,
        folders: Folders,
        owed: OwedFiles,
        handover_s: float,
        clock: Callable[[], float],
        arrived: Callable[[], None] = lambda: None,
        kinds: frozenset[str] = SENT_FOLDERS,
    ) -> None:
        """``name`` is this instance's; ``clock`` the queue's. ``arrived``: see ``dispatch.ports.Homeward``.
        ``kinds``: of the folders whose files are sent; the others are the same everywhere."""
        self._name = name
        self._kinds = kinds
        self._thread = thread
        self._way = way
        self._folders = folders
        self._owed = owed
        self._handover_s = handover_s
        self._clock = clock
        self.arrived = arrived
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._paying: Future[None] | None = None
        self._why: dict[str, str] = {}

    def began(self, job: Job) -> None:
        """A job runs here. Never raises; any thread."""
        if job.origin is not None and job.origin != self._name:
            with self._lock:
                self._runs.setdefault(job.id, _Run(job.origin))

    def deliver(self, job_id: str, node_outputs: Any) -> Future[Any] | None:
        """Send what a node of a running job made; the future has ``node_outputs`` with the names at home. None: nothing to send, the names
        are right. Takes no longer than a handover may. Any thread; the future never fails."""
        with self._lock:
            run = self._runs.get(job_id)
        files = self._sent_of(files_in(node_outputs))
        if run is None or not files:
            return None
        return self._thread.run(self._delivered(job_id, run, node_outputs, files))

    def forget(self, job_id: str) -> None:
        """The run is over, and what it made is not wanted. Never raises; any thread."""
        with self._lock:
            self._runs.pop(job_id, None)

    def bring_home(self, job: Job, ending: Ending) -> Future[Ending] | None:
        """The ending as it is to be stored, once its files are at home or owed: after the time of a handover at the latest. None: nothing
        to send. Never raises, and the future never fails."""
        with self._lock:
            run = self._runs.pop(job.id, None)
        files = self._sent_of(_files_of(ending))
        if run is None or not files:
            return None
        return self._thread.run(self._brought(job.id, run, files, ending))

    def pay(self) -> Future[None]:
        """Begin to send what is owed, now and whenever something is owed, until the process ends. Idempotent."""
        with self._lock:
            if self._paying is None:
                self._paying = self._thread.run(self._pay_for_ever())
            return self._paying

    def find(self, job_id: str, home: FileName) -> Path | None:
        """The bytes of a file that is owed. Fits ``desk.Owed``."""
        return self._owed.find(job_id, home)

    def fault(self) -> str | None:
        """Why results that are owed could not be sent the last time, or None. An instance that is known to be gone is no fault. Waits for
        nothing; any thread."""
        return next(iter(self._why.values()), None)

    # -- on the peers' thread ----------------------------------------------------------------------------------------

    async def _delivered(self, job_id: str, run: _Run, node_outputs: Any, files: tuple[FileName, ...]) -> Any:
        try:
            places = await self._sent(job_id, run, files)
        except Exception:  # noqa: BLE001 - the end of the run sends them again
            log.exception("Results could not be sent early", extra={"event": "deliver.failed", "job_id": job_id})
            places = {}
        apart = self._apart(job_id)
        return rewritten(node_outputs, lambda file: places.get(file) or apart(file))

    async def _brought(self, job_id: str, run: _Run, files: tuple[FileName, ...], ending: Ending) -> Ending:
        try:
            places = await self._sent(job_id, run, files)
            for file in files:
                if file not in places:
                    places[file] = await asyncio.to_thread(self._owe, job_id, run.origin, file)
            return await asyncio.to_thread(ending_at_home, ending, placed(places))
        except Exception:  # noqa: BLE001 - a job must end also when its files cannot be sent
            log.exception("Results could not be handed over", extra={"event": "handover.failed", "job_id": job_id})
            return ending_at_home(ending, self._apart(job_id))

    async def _sent(self, job_id: str, run: _Run, files: tuple[FileName, ...]) -> dict[FileName, FileName]:
        """Where those are that arrived in time, and those that there are none of."""
        places: dict[FileName, FileName] = {}
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(file: FileName) -> None:
            async with gate:
                place = await self._send(job_id, run, file)
            if place is not None:
                places[file] = place

        tasks = [asyncio.ensure_future(one(file)) for file in files]
        _, late = await asyncio.wait(tasks, timeout=self._handover_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return places

    async def _send(self, job_id: str, run: _Run, file: FileName) -> FileName | None:
        path = located(self._folders, file)
        if path is None:
            return file  # a node named what it did not make
        try:
            facts = await asyncio.to_thread(path.stat)
            known = (file, facts.st_size, facts.st_mtime_ns)
            async with run.turns.setdefault(file, asyncio.Lock()):
                if known not in run.sent:
                    offer = await asyncio.to_thread(self._offer, job_id, file, path, apart=False)
                    run.sent[known] = await self._way.send(run.origin, offer, path)
                return run.sent[known]
        except (PeerGone, PeerRefused, Changed, OSError) as fault:
            log.warning("A result was not sent yet: %s", fault, extra={"event": "handover.refused", "job_id": job_id})
            return None

    def _offer(self, job_id: str, file: FileName, path: Path, *, apart: bool) -> Offer:
        return Offer(self._name, job_id, file, path.stat().st_size, digest_of(path), self._clock(), apart)

    def _sent_of(self, files: tuple[FileName, ...]) -> tuple[FileName, ...]:
        return tuple(file for file in files if file.folder in self._kinds)

    def _apart(self, job_id: str) -> Callable[[FileName], FileName]:
        def place(file: FileName) -> FileName:
            if file.folder not in self._kinds or located(self._folders, file) is None:
                return file
            return file._replace(subfolder=job_subfolder(self._name, job_id, file.subfolder))

        return place

    def _owe(self, job_id: str, origin: str, file: FileName) -> FileName:
        home, path = self._apart(job_id)(file), located(self._folders, file)
        try:
            if path is not None:
                self._owed.add(origin, self._offer(job_id, file, path, apart=True), home, path)
                extra = {"event": "handover.owed", "job_id": job_id}
                log.warning("A result is sent to instance %s later: %s", origin, file.name, extra=extra)
        except OSError as fault:
            # It stays in ComfyUI's own folder here, where it is found when somebody asks for it.
            extra = {"event": "handover.not_owed", "job_id": job_id}
            log.error("That a result has to be sent later cannot be written down: %s", fault, extra=extra)
        return home

    async def _pay_for_ever(self) -> None:
        while True:
            try:
                await self.pay_once()
            except Exception:  # noqa: BLE001 - what is owed must be sent also after a fault of ours
                log.exception("What is owed could not be sent", extra={"event": "owed.failed"})
            await asyncio.sleep(OWED_EVERY_S)

    async def pay_once(self) -> None:
        """One try for each file that is owed; an instance that is away is asked once."""
        away: set[str] = set()
        why: dict[str, str] = {}
        for owed in await asyncio.to_thread(self._owed.all):
            if owed.origin in away:
                continue
            try:
                await self._pay(owed)
            except PeerAway as fault:
                away.add(owed.origin)
                if not isinstance(fault, PeerGone):
                    why[owed.origin] = f"what is owed to instance {owed.origin} cannot be sent now: {fault}"
        self._why = why

    async def _pay(self, owed: OwedFile) -> None:
        extra = {"event": "owed.sent", "job_id": owed.offer.job_id}
        try:
            await self._way.send_once(owed.origin, owed.offer, owed.path)
        except (PeerRefused, Changed) as fault:
            log.error("A result can never be sent: %s", fault, extra=extra | {"event": "owed.refused"})
        else:
            log.info("A result was sent late to instance %s", owed.origin, extra=extra)
        await asyncio.to_thread(self._owed.paid, owed)


def _files_of(ending: Ending) -> tuple[FileName, ...]:
    named = (file_of(output) for output in ending.outputs if output.folder in SENT_FOLDERS)
    return tuple(dict.fromkeys((*named, *files_of_history(ending.history_json))))
