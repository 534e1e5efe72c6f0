"""When a job may start, how long it may wait and how often it is tried: three fields of a submit. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..jobs.errors import Fault, InputInvalid
from ..jobs.model import JsonObject
from .faults import pointer, shown

EXPIRES_MAX_S = 31_536_000
"""A year."""
ATTEMPTS_MAX = 20
LATEST_S = 253_402_300_799
"""The end of the year 9999: what lies behind has no RFC 3339 form, and is milliseconds in truth."""

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Times:
    """The fields as they are meant; None where absent or wrong. ``faults`` has one for each that is wrong."""

    not_before_s: float | None
    expires_in_s: float | None
    max_attempts: int | None
    faults: tuple[Fault, ...]


def parse_times(body: JsonObject) -> Times:
    """Read ``not_before`` (RFC 3339 with a zone, or seconds since the epoch), ``expires_in_s`` and ``max_attempts``."""
    faults: list[Fault] = []
    return Times(
        not_before_s=_not_before(body.get("not_before"), faults),
        expires_in_s=_expires(body.get("expires_in_s"), faults),
        max_attempts=_attempts(body.get("max_attempts"), faults),
        faults=tuple(faults),
    )


def _not_before(value: Any, faults: list[Fault]) -> float | None:
    if value is None:
        return None
    at_s = _rfc3339(value) if isinstance(value, str) else _number(value)
    if at_s is not None and 0 <= at_s <= LATEST_S:
        return at_s
    hint = "For example 2030-01-31T18:00:00Z or 2030-01-31T18:00:00+01:00; a number counts seconds, not milliseconds."
    rule = "a time in RFC 3339 with its zone, or seconds since the epoch"
    _refuse("not_before", rule, value, faults, hint)
    return None


def _expires(value: Any, faults: list[Fault]) -> float | None:
    if value is None:
        return None
    seconds = _number(value)
    if seconds is not None and 0 < seconds <= EXPIRES_MAX_S:
        return seconds
    _refuse("expires_in_s", f"a number of seconds above 0, at most {EXPIRES_MAX_S} (a year)", value, faults)
    return None


def _attempts(value: Any, faults: list[Fault]) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= ATTEMPTS_MAX):
        return value
    _refuse("max_attempts", f"an integer from 1 to {ATTEMPTS_MAX}", value, faults)
    return None


def _rfc3339(text: str) -> float | None:
    parts = _RFC3339.fullmatch(text.strip()) if len(text) <= 64 else None
    if parts is None:
        return None
    day, time, fraction, zone = parts.groups()
    offset = "+00:00" if zone in "Zz" else zone
    try:
        # Python 3.10 reads neither Z nor any number of digits behind the point.
        at_s = datetime.fromisoformat(f"{day}T{time}{offset}").timestamp()
    except (ValueError, OverflowError):
        return None
    return at_s + float(f"0.{fraction or 0}")


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _refuse(name: str, rule: str, value: Any, faults: list[Fault], hint: str | None = None) -> None:
    message = f"{name} must be {rule}; got {shown(value)}."
    faults.append(Fault(pointer(name), InputInvalid.code, message, hint=hint, input_name=name))
