"""``manifest.json`` of a results folder: every item with its values, job, end and files, in the order of the items."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from ..records import JsonObject
from .items import Plan
from .record import Record

FILE_NAME = "manifest.json"
OPEN = "open"
"""The status of an item that has not ended, as far as this program has seen."""


def manifest_of(plan: Plan, record: Record, server: str) -> JsonObject:
    """All that is known of the batch; an item that is still on its way is ``open``."""
    items: list[JsonObject] = []
    for item in plan.items:
        standing = record.standing(item.number)
        items.append(
            {
                "item": item.number,
                "values": item.told(),
                "job": standing.job_id,
                "status": standing.status or OPEN,
                "error": standing.error,
                "files": list(standing.files),
            }
        )
    counts = Counter(str(item["status"]) for item in items)
    return {"batch": record.batch_id, "server": server, "counts": dict(sorted(counts.items())), "items": items}


def write(folder: Path, manifest: JsonObject) -> None:
    """Put it into the folder: whole, or the earlier one stays."""
    part = folder / (FILE_NAME + ".part")
    part.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(folder / FILE_NAME)
