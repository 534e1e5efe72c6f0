"""What an asset is: a record over bytes that stand in one of ComfyUI's folders. Pure.

Owns the records that cross layers, the form of a hash, and how a graph names a file. Times are seconds since the epoch (``_at_s``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .model import Output, Principal

_HASH = re.compile(r"blake3:[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Blob:
    """The bytes of uploads: one file of ComfyUI's input folder. ``place`` is its path below that folder, with ``/``.

    ``hash`` is ``blake3:<hex>`` as we computed it, or None where that is not possible. ``ours``: we wrote the file, so it goes with
    the last asset; else it stood there with the same bytes.
    """

    place: str
    size_bytes: int
    mtime_ns: int
    hash: str | None = None
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Asset:
    """An uploaded asset. ``file_path`` is the name that its client gave it; ``used_at_s``: when it was last uploaded, or a job came
    that needs it."""

    id: str
    principal: Principal
    blob: Blob
    content_type: str
    file_path: str
    created_at_s: float
    used_at_s: float
    expires_at_s: float | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputNote:
    """What is known of a job's output as an asset, besides what the job says: the ``hash`` of the file while it has this size and
    time of change, and whether the asset (not the file) was deleted."""

    id: str
    job_id: str
    hash: str | None = None
    size_bytes: int = 0
    mtime_ns: int = 0
    deleted: bool = False


def is_hash(text: object) -> bool:
    """Whether this is a hash as the Comfy API v2 writes it."""
    return isinstance(text, str) and _HASH.fullmatch(text) is not None


def is_asset_id(text: object) -> bool:
    """Whether this can be the id of an asset: a canonical UUID."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def name_in_graph(output: Output) -> str:
    """How a graph names what a job made, for ComfyUI's loaders: ``sub/name.png [output]``."""
    subfolder = output.subfolder.replace("\\", "/").strip("/")
    path = f"{subfolder}/{output.name}" if subfolder else output.name
    return f"{path} [{output.folder}]"
