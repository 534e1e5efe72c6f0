"""A whole batch in one request, where the server can take it so: one validation, one commit, one answer for a thousand jobs.

Owns when that fits. Where it does not (too many, no room for all, values that are no plain ones, an older server), nothing has
happened and the items are submitted one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..api import Expeditor
from ..faults import NotHere, Refused
from ..records import JsonObject
from .items import LABEL, Plan
from .record import Record

FEWEST = 2
_PLAIN = (str, int, float, bool)
_NOT_TOGETHER = frozenset({400, 404, 405, 413, 422, 429})


def submit_together(server: Expeditor, plan: Plan, record: Record, uploaded: Mapping[Path, str]) -> bool:
    """Whether all items were accepted or refused, and noted so. The record's id is the key: sent again, it is the same batch."""
    body = _body(plan, uploaded, record.batch_id)
    if body is None:
        return False
    try:
        made = server.submit_batch(body, key=record.batch_id)
    except NotHere:
        return False
    except Refused as refused:
        if refused.status not in _NOT_TOGETHER:
            raise
        return False
    # It is in: whatever goes wrong from here on, its items must not be submitted one by one. Run again, it is the same batch.
    results = server.batch_results(str(made["id"]))
    record.together(
        {int(one["index"]) + 1: str(one["job_id"]) for one in results["items"] if one["job_id"]},
        {int(one["index"]) + 1: f"{one['code']}: {one['message']}" for one in results["refused"]},
    )
    return True


def _body(plan: Plan, uploaded: Mapping[Path, str], batch_id: str) -> JsonObject | None:
    """One prompt and all items as the rows of one zip; None where that cannot say what the items are."""
    if len(plan.items) < FEWEST:
        return None
    columns: dict[str, list[Any]] = {}
    for item in plan.items:
        for target, value in item.values.items():
            plain = uploaded[value] if isinstance(value, Path) else value
            if not isinstance(plain, _PLAIN):
                return None
            columns.setdefault(str(target), []).append(plain)
    if not columns:
        return None  # only --times: nothing to sweep
    shared = dict(plan.wish)
    own: dict[str, str] = shared.pop("metadata", None) or {}
    labels = {**own, LABEL: batch_id}
    return {"prompt": plan.base, "sweep": {"zip": columns}, "partial": True, "metadata": labels, **shared}
