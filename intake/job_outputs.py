"""The files that a job made, for those who fetch them: which file the n-th output is, and why it is not there.

Owns the answer to that; the paths are ``host.files``', the bytes go out in ``routes``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from ..jobs.errors import Fault, NotFound
from ..jobs.model import Job, Output
from .job_views import JobViews
from .ports import OutputFiles

GONE_HINT = "It was removed or written over in ComfyUI's folder; run the job again."


@dataclass(frozen=True, slots=True)
class FoundOutput:
    """An output and its file."""

    output: Output
    path: Path


class JobOutputs:
    """See the module's docstring."""

    def __init__(self, views: JobViews, files: OutputFiles) -> None:
        """``files`` looks into ComfyUI's folders; it is asked on another thread."""
        self._views = views
        self._files = files

    async def find(self, job_id: str, number: int | None) -> FoundOutput:
        """The output of this number, from 0. Raises ``NotFound`` (no such job, output or file) and ``Gone`` (the job was pruned), and
        ``StoreUnavailable`` (it is on another instance, which is away)."""
        job = await self._views.known(job_id)
        if number is None or number >= len(job.outputs):
            raise _no_output(job, number)
        output = job.outputs[number]
        path = await asyncio.to_thread(self._files.of_job, job, output)
        if path is None:
            raise _no_file(job, output)
        return FoundOutput(output, path)


def _no_output(job: Job, number: int | None) -> NotFound:
    has = f"it has {len(job.outputs)}, counted from 0" if job.outputs else f"it has none and is {job.status.value}"
    named = "" if number is None else f" {number}"
    return NotFound(f"Job {job.id} has no output{named}: {has}.", details={"job_id": job.id})


def _no_file(job: Job, output: Output) -> NotFound:
    message = f"The file {output.name} of job {job.id} is not there any more."
    return NotFound(
        message,
        details={"job_id": job.id, "node_id": output.node_id},
        faults=(Fault("", NotFound.code, message, GONE_HINT),),
    )
