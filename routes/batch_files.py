"""What lies in the zip of a batch: the files of its jobs, a folder for each, and the manifest that names them.

Owns the names inside, and that the manifest says of every file whether it is there. How a zip is written is ``zipping``'s.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

from ..intake.batch_views import BatchResults
from ..intake.ports import OutputFiles
from ..jobs.errors import StoreUnavailable
from ..jobs.model import Job, Output
from .zipping import Member, names_for, zipped

MANIFEST = "manifest.json"


def members_of(results: BatchResults, manifest: dict[str, Any], files: OutputFiles) -> list[Member]:
    """The files to come. Each output in ``manifest`` (``results_json``) is given the name of its ``file``."""
    digits = len(str(max(results.about.asked - 1, 0)))
    told = [
        (item.job, output, shown, f"{item.index:0{digits}d}")
        for item, row in zip(results.items, manifest["items"], strict=True)
        if item.job is not None
        for output, shown in zip(item.job.outputs, row["outputs"], strict=True)
    ]
    members: list[Member] = []
    names = names_for([(folder, output.name) for _, output, _, folder in told])
    for (job, output, shown, _), name in zip(told, names, strict=True):
        shown["file"] = name
        members.append(Member(name, partial(_found, files, job, output)))
    return members


def _found(files: OutputFiles, job: Job, output: Output) -> Path | None:
    """Its file; one that is on an instance that is away is told of as missing, for the zip is on its way already."""
    try:
        return files.of_job(job, output)
    except StoreUnavailable:
        return None


def archive(members: list[Member], manifest: dict[str, Any]) -> Generator[bytes, None, None]:
    """The bytes of the zip, part by part; reading blocks. The manifest comes last: what is not there has null as ``file``."""

    def last(missing: frozenset[str]) -> tuple[str, bytes]:
        outputs = [output for row in manifest["items"] for output in row["outputs"]]
        for output in outputs:
            output["file"] = None if output["file"] in missing else output["file"]
        manifest["missing"] = sum(output["file"] is None for output in outputs)
        return MANIFEST, json.dumps(manifest, indent=1).encode("ascii")

    return zipped(members, last)
