"""Query strings and small bodies as the records that services take. Pure."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..intake.faults import field_fault, short
from ..intake.lift import KEY, RULE, check
from ..intake.views import PAGE_LIMIT_MAX, JobQuery, Reprioritise
from ..jobs.errors import Fault, InputInvalid
from ..jobs.model import Cause, JobStatus
from .selection import words

LIST_PARAMETERS = ("status", "principal", "cause", "held", "batch", "limit", "cursor")
LABEL = "metadata."
"""Before a key of the metadata, in the name of a query parameter."""
MOST_LABELS = 16
WAIT = "wait_s"
DRY_RUN = "dry_run"
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)


def wait_query(query: Mapping[str, str], max_wait_s: float) -> float | None:
    """``?wait_s=``: how long the client is willing to wait for the job's end; None without it."""
    faults = [
        field_fault(name, f"Unknown query parameter {short(name)}.", "This route takes wait_s only.")
        for name in query
        if name != WAIT
    ]
    given = [value for name, value in query.items() if name == WAIT]
    wait_s = _seconds(given[0]) if len(given) == 1 else None
    if len(given) > 1:
        faults.append(field_fault(WAIT, f"{WAIT} is given {len(given)} times.", "Give it once."))
    elif given and (wait_s is None or wait_s > max_wait_s):
        message = f"{WAIT} must be a number of seconds from 0 to {max_wait_s:g}."
        faults.append(field_fault(WAIT, message, "Ask for the job again to wait longer."))
    if faults:
        raise InputInvalid(faults[0].message, faults=tuple(faults))
    return wait_s


def dry_run_query(query: Mapping[str, str]) -> bool:
    """``?dry_run=``: ``true`` or ``false``; false without it."""
    hint = "This route takes dry_run only."
    faults = [field_fault(name, f"Unknown query parameter {short(name)}.", hint) for name in query if name != DRY_RUN]
    given = [value for name, value in query.items() if name == DRY_RUN]
    if given not in ([], ["true"], ["false"]):
        faults.append(field_fault(DRY_RUN, f"{DRY_RUN} must be true or false, once."))
    if faults:
        raise InputInvalid(faults[0].message, faults=tuple(faults))
    return given == ["true"]


def list_query(query: Mapping[str, str]) -> JobQuery:
    """``status`` and ``cause`` may name several, separated by commas; ``metadata.KEY`` asks for a text in the metadata;
    ``limit`` 1..1000, default 50."""
    faults: list[Fault] = []
    for name, times in Counter(name for name, _ in query.items()).items():
        if name not in LIST_PARAMETERS and not name.startswith(LABEL):
            near = difflib.get_close_matches(short(name), LIST_PARAMETERS, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(LIST_PARAMETERS)}, {LABEL}KEY."
            faults.append(field_fault(name, f"Unknown query parameter {short(name)}.", hint))
        elif times > 1:
            text = f"{short(name)} is given {times} times."
            faults.append(field_fault(name, text, "Give it once; several statuses: a,b."))
    labels = tuple((name[len(LABEL) :], value) for name, value in query.items() if name.startswith(LABEL))
    if len(labels) > MOST_LABELS:
        faults.append(field_fault("metadata", f"At most {MOST_LABELS} pairs of metadata can be asked for at once."))
    statuses = words("status", query.get("status"), JobStatus, faults)
    causes = words("cause", query.get("cause"), Cause, faults)
    held = query.get("held")
    if held not in (None, "true", "false"):
        faults.append(field_fault("held", "held must be true or false."))
    limit = query.get("limit", "50")
    if not (limit.isascii() and limit.isdigit() and len(limit) < 6 and 1 <= int(limit) <= PAGE_LIMIT_MAX):
        faults.append(field_fault("limit", f"limit must be a whole number from 1 to {PAGE_LIMIT_MAX}."))
    if faults:
        raise InputInvalid(faults[0].message, faults=tuple(faults))
    return JobQuery(
        statuses=statuses,
        principal=query.get("principal"),
        causes=causes,
        held=None if held is None else held == "true",
        cursor=query.get("cursor"),
        limit=int(limit),
        batch_id=query.get("batch"),
        labels=labels,
    )


def priority_change(fields: dict[str, Any]) -> Reprioritise:
    """``{priority}`` or ``{front: true}``, not both; form fields come as text."""
    names = [name for name in ("priority", KEY, "front") if fields.get(name) is not None]
    unknown = [name for name in fields if name not in ("priority", KEY, "front", "client_id")]
    if unknown:
        raise InputInvalid(
            faults=(field_fault(unknown[0], f"Unknown field {short(unknown[0])}.", "Send priority, or front."),)
        )
    if len(names) != 1:
        message = f"Send either priority or front: true. {RULE[0].upper()}{RULE[1:]}."
        raise InputInvalid(message, faults=(field_fault("priority", message),))
    value = fields[names[0]]
    if names[0] == "front":
        if value is not True:
            raise InputInvalid("front must be true.", faults=(field_fault("front", "front must be true."),))
        return Reprioritise(front=True)
    faults = check(value, f"/{names[0]}", "Or send front: true, to stand before all others.")
    if faults:
        raise InputInvalid(faults[0].message, faults=faults)
    return Reprioritise(priority=value)


def _seconds(text: str) -> float | None:
    return float(text) if _DECIMAL.fullmatch(text) else None
