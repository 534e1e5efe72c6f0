"""Filters of bulk calls as the records that the services take: from the query string, the body, or both. Pure.

A filter that would pick everything is refused unless it says so: a forgotten field must not cancel a whole queue.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from ..intake.bulk import Selection
from ..intake.faults import field_fault, short, shown
from ..intake.lift import check
from ..jobs.errors import Fault, InputInvalid
from ..jobs.model import Cause, JobStatus

SELECTORS = ("status", "principal", "cause", "priority", "held", "ids")
ALL = "all"
CLEAR_SELECTORS = ("principal", "priority")
BULK_JSON_FIELDS = frozenset({"status", "cause", "priority", "held", "ids", ALL})
MOST_IDS = 1_000
BROKEN_TEXT = "Half a surrogate pair, which no UTF-8 text can hold, names nothing."

_T = TypeVar("_T")


def bulk_selection(fields: Mapping[str, Any], query: Mapping[str, str]) -> Selection:
    """Of ``POST /expeditor/jobs/retry`` and ``cancel``: at least one selector, or ``all: true``."""
    faults: list[Fault] = []
    given = _given(fields, query, (*SELECTORS, ALL), faults)
    everything = _truth("all", given.pop(ALL, None), faults)
    if not faults and not given and not everything:
        hint = f"Send one of {', '.join(SELECTORS)}, or all: true."
        faults.append(field_fault(ALL, "No filter is given: this would take every job.", hint))
    if given and everything:
        faults.append(field_fault(ALL, "all stands beside a filter.", "Send one or the other."))
    return _selection(given, faults)


def clear_selection(fields: Mapping[str, Any], query: Mapping[str, str]) -> Selection:
    """Of ``POST /expeditor/queue/clear``: nothing, or ``principal`` and ``priority``."""
    faults: list[Fault] = []
    return _selection(_given(fields, query, CLEAR_SELECTORS, faults), faults)


def _selection(given: dict[str, Any], faults: list[Fault]) -> Selection:
    principal = given.get("principal")
    if principal is not None and not isinstance(principal, str):
        faults.append(field_fault("principal", "principal must be text."))
    elif principal is not None and not sound(principal):
        faults.append(field_fault("principal", BROKEN_TEXT))
    priority = given.get("priority")
    if priority is not None:
        faults.extend(check(priority, "/priority", "Leave it out for jobs of every priority."))
    held = None if given.get("held") is None else _truth("held", given["held"], faults)
    selection = Selection(
        statuses=words("status", given.get("status"), JobStatus, faults),
        principal=principal,
        causes=words("cause", given.get("cause"), Cause, faults),
        priority=priority,
        held=held,
        ids=_ids(given["ids"], faults) if given.get("ids") is not None else None,
    )
    if faults:
        raise InputInvalid(faults[0].message, faults=tuple(faults))
    return selection


def words(name: str, value: Any, kind: Callable[[str], _T], faults: list[Fault]) -> tuple[_T, ...]:
    """Words of a closed set: a list of texts, or one text with commas."""
    known: list[str] = [each.value for each in cast("Any", kind)]
    found: list[_T] = []
    for word in _texts(name, value, faults):
        if word in known:
            found.append(kind(word))
        else:
            faults.append(field_fault(name, f"Unknown {name} {short(word)}.", f"One of {', '.join(known)}."))
    return tuple(found)


def _texts(name: str, value: Any, faults: list[Fault]) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [word for word in value.split(",") if word]
    if isinstance(value, list) and all(isinstance(each, str) for each in cast("list[Any]", value)):
        return cast("list[str]", value)
    faults.append(field_fault(name, f"{name} must be a text or a list of texts; got {shown(cast('object', value))}."))
    return []


def _ids(value: Any, faults: list[Fault]) -> tuple[str, ...]:
    ids = _texts("ids", value, faults)
    if len(ids) > MOST_IDS:
        faults.append(field_fault("ids", f"At most {MOST_IDS} ids in one call; got {len(ids)}."))
    if not all(sound(each) for each in ids):
        faults.append(field_fault("ids", BROKEN_TEXT))
    return tuple(ids)


def sound(text: str) -> bool:
    """Whether a store can look for it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _truth(name: str, value: Any, faults: list[Fault]) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    faults.append(field_fault(name, f"{name} must be true or false; got {shown(value)}."))
    return False


def _given(
    fields: Mapping[str, Any], query: Mapping[str, str], known: tuple[str, ...], faults: list[Fault]
) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for source in (fields, {name: _typed(name, text) for name, text in query.items()}):
        for name, value in source.items():
            if name not in known:
                near = difflib.get_close_matches(short(name), known, n=1)
                hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
                faults.append(field_fault(name, f"Unknown field {short(name)}.", hint))
            elif name in given:
                faults.append(field_fault(name, f"{name} is given twice."))
            elif value is not None:
                given[name] = value
    return given


def _typed(name: str, text: str) -> Any:
    if name in ("held", ALL):
        return {"true": True, "false": False}.get(text, text)
    return int(text) if name == "priority" and text.isascii() and text.isdigit() and len(text) < 4 else text
