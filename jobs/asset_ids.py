"""Under which ids the files of jobs are known as assets. Pure; the same after every restart, so nothing need be stored to know them."""

from __future__ import annotations

import uuid

from .model import Output

_NAMESPACE = uuid.UUID("6e1f2c52-6a63-5f0e-9d2b-0c4f6b1e8a37")


def output_asset_id(job_id: str, output: Output) -> str:
    """The id of an output as an asset, a canonical UUID: one for each file of a job, however often the job names it."""
    # In hex: nodes may name files by text that no UTF-8 can hold.
    name = "\0".join((job_id, output.folder, output.subfolder.replace("\\", "/").strip("/"), output.name))
    return str(uuid.uuid5(_NAMESPACE, name.encode("utf-8", "surrogatepass").hex()))
