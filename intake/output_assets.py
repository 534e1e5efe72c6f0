"""Outputs of jobs as assets: found by their ids as long as their jobs are kept, and hashed when somebody asks.

Owns what becomes of an id that is a job's output. That an output's asset was deleted, and its hash, are notes in the asset store; all
else is what the job says.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from ..jobs.asset_ids import output_asset_id
from ..jobs.assets import OutputNote
from ..jobs.awaiting import Awaiter
from ..jobs.errors import NotFound
from ..jobs.model import Job, Output
from ..store.assets import AssetStore
from ..store.base import JobStore
from .asset_ports import AssetFiles
from .asset_views import AssetContent, output_view
from .ports import OutputFiles

HASHED_MAX_BYTES = 256 * 1024 * 1024
"""The largest output that is hashed while somebody waits: tenths of a second. A larger one has no hash."""


@dataclass(frozen=True, slots=True)
class FoundOutput:
    """A job's output, and its file if that is still there."""

    job: Job
    output: Output
    path: Path | None


class OutputAssets:
    """See the module's docstring."""

    def __init__(
        self, *, store: AssetStore, jobs: JobStore, outputs: OutputFiles, files: AssetFiles, awaiter: Awaiter
    ) -> None:
        """``outputs`` finds files, ``files`` hashes them; both on another thread."""
        self._store = store
        self._jobs = jobs
        self._outputs = outputs
        self._files = files
        self._wait = awaiter.settled

    async def find(self, asset_id: str) -> FoundOutput | None:
        """The output of this id; None when there is none or its asset was deleted."""
        job = await self._wait(self._jobs.maker(asset_id))
        output = next((one for one in job.outputs if output_asset_id(job.id, one) == asset_id), None) if job else None
        if job is None or output is None or await self._deleted(asset_id):
            return None
        return FoundOutput(job, output, await asyncio.to_thread(self._outputs.of_job, job, output))

    async def content(self, asset_id: str, *, hashed: bool) -> AssetContent | None:
        """The asset and its file; ``hashed``: with its hash. None as ``find``. Raises ``NotFound`` when the file is gone."""
        found = await self.find(asset_id)
        if found is None:
            return None
        job, output = found.job, found.output
        facts = None if found.path is None else await asyncio.to_thread(_facts, found.path)
        if found.path is None or facts is None:
            message = f"The file of {output.name}, an output of job {job.id}, is not there any more. Run the job again."
            raise NotFound(message, details={"job_id": job.id, "reason": "output_unavailable"})
        size_bytes, mtime_ns = facts
        digest = await self._hash(asset_id, job.id, found.path, size_bytes, mtime_ns) if hashed else None
        return AssetContent(output_view(asset_id, job, output, size_bytes, digest), found.path)

    async def delete(self, found: FoundOutput, asset_id: str) -> None:
        """Delete the asset; the file and what the job says of it stay."""
        await self._wait(self._store.note(OutputNote(asset_id, found.job.id, deleted=True)))

    async def _deleted(self, asset_id: str) -> bool:
        note = (await self._wait(self._store.notes((asset_id,)))).get(asset_id)
        return note is not None and note.deleted

    async def _hash(self, asset_id: str, job_id: str, path: Path, size_bytes: int, mtime_ns: int) -> str | None:
        note = (await self._wait(self._store.notes((asset_id,)))).get(asset_id)
        if note is not None and (note.size_bytes, note.mtime_ns) == (size_bytes, mtime_ns):
            return note.hash
        if size_bytes > HASHED_MAX_BYTES:
            return None
        digest = await asyncio.to_thread(self._files.digest, path)
        if digest is not None:
            fresh = OutputNote(asset_id, job_id)
            await self._wait(self._store.note(replace(fresh, hash=digest, size_bytes=size_bytes, mtime_ns=mtime_ns)))
        return digest


def _facts(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns
