"""What is told of an asset, an upload or a job's output alike. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..jobs.assets import Asset
from ..jobs.model import Job, Output


@dataclass(frozen=True, slots=True)
class AssetView:
    """An asset as clients see it. ``name``: what a download is called; ``created_new``: only of one that was just made."""

    id: str
    name: str
    size_bytes: int
    content_type: str
    created_at_s: float
    hash: str | None = None
    file_path: str | None = None
    expires_at_s: float | None = None
    job_id: str | None = None
    created_new: bool | None = None


@dataclass(frozen=True, slots=True)
class AssetContent:
    """An asset and its file."""

    view: AssetView
    path: Path


def upload_view(asset: Asset, *, created_new: bool | None = None) -> AssetView:
    """Of an upload."""
    return AssetView(
        id=asset.id,
        name=asset.file_path.rpartition("/")[2],
        size_bytes=asset.blob.size_bytes,
        content_type=asset.content_type,
        created_at_s=asset.created_at_s,
        hash=asset.blob.hash,
        file_path=asset.file_path,
        expires_at_s=asset.expires_at_s,
        created_new=created_new,
    )


def output_view(asset_id: str, job: Job, output: Output, size_bytes: int, digest: str | None) -> AssetView:
    """Of a job's output, whose file has this size now."""
    return AssetView(
        id=asset_id,
        name=output.name,
        size_bytes=size_bytes,
        content_type=output.content_type,
        created_at_s=job.finished_at_s or job.created_at_s,
        hash=digest,
        job_id=job.id,
    )
