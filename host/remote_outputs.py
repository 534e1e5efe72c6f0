"""The files of any job on any instance: here, or fetched from where they are and kept for a while.

Where they are: at the job's origin under their names at home; until they have got there, with the instance that ran it. Owns that
order of asking. Does not own the fetching (``fetching``) nor names (``jobs.homing``). Blocks; any thread but the peers'.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import TimeoutError as TooLate
from pathlib import Path

from ..jobs.errors import ExpeditorError, StoreUnavailable
from ..jobs.homing import file_of, job_subfolder, maker_of
from ..jobs.instances import instance_of
from ..jobs.leftovers import FileName
from ..jobs.model import Job, Output
from ..jobs.parcels import file_fields
from .fetching import Fetches, Wanted
from .files import OutputFinder
from .peers import PeerAway, PeerThread

FETCH_S = 600.0
RETRY_AFTER_S = 10

Desk = Callable[[str, FileName], Path | None]
"""What this instance itself has of a job under a name at home; ``desk.PeerDesk.find`` fits."""


class RemoteOutputs:
    """Fits ``intake.ports.OutputFiles`` where several instances share a queue."""

    def __init__(
        self, *, name: str, local: OutputFinder, desk: Desk, fetcher: Fetches, thread: PeerThread, folder: Path
    ) -> None:
        """``name`` is this instance's; ``folder`` the fetcher's."""
        self._name = name
        self._local = local
        self._desk = desk
        self._fetcher = fetcher
        self._thread = thread
        self._folder = folder

    def of_job(self, job: Job, output: Output) -> Path | None:
        """See ``intake.ports.OutputFiles``."""
        maker = maker_of(job, instance_of)
        if job.origin in (None, self._name):
            found = self._local.of_job(job, output)
            if found is not None or maker in (None, self._name):
                return found
        elif maker == self._name:
            found = self._desk(job.id, file_of(output))
            if found is not None and output.size_bytes in (None, found.stat().st_size):
                return found
        asked = [one for one in (job.origin, maker) if one is not None and one != self._name]
        return self._fetched(job, output, asked, maker)

    def _fetched(self, job: Job, output: Output, asked: list[str], maker: str | None) -> Path | None:
        file = file_of(output)
        wanted = Wanted(file_fields(file) | {"job_id": job.id}, self._target(job, file), output.size_bytes)
        try:
            there = self._thread.run(self._fetcher.fetch(asked, wanted)).result(FETCH_S)
        except PeerAway as fault:
            if job.origin == self._name and not _came_late(job, file, maker):
                return None  # it was here once, and was removed
            text = f"The file {output.name} of job {job.id} is on another instance. {fault}"
            raise StoreUnavailable(text, retry_after_s=RETRY_AFTER_S) from fault
        except (TooLate, ExpeditorError) as fault:
            text = f"The file {output.name} of job {job.id} cannot be fetched now: {fault}"
            raise StoreUnavailable(text, retry_after_s=RETRY_AFTER_S) from fault
        return wanted.target if there else None

    def _target(self, job: Job, file: FileName) -> Path:
        key = hashlib.blake2b("\0".join(file).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return self._folder / job.id / key


def _came_late(job: Job, file: FileName, maker: str | None) -> bool:
    """Whether its name is one of those that files get which did not arrive before their job's end."""
    return maker is not None and job_subfolder(maker, job.id, file.subfolder) == file.subfolder
