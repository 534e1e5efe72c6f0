"""What a request for a stream of events asks for, from its query string and headers. Pure."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..intake.faults import field_fault, short
from ..jobs.cursors import position_of
from ..jobs.errors import Fault, InputInvalid
from ..jobs.events import EVENT_TYPES, PASSING_TYPES

LAST_EVENT_ID = "Last-Event-ID"
OF_A_JOB = ("after", "types")
OF_MANY = ("after", "types", "principal", "batch")


@dataclass(frozen=True, slots=True)
class Followed:
    """``after``: the position after which to begin, None where the client named none; ``types``: only these, None for all."""

    after: int | None = None
    types: frozenset[str] | None = None
    principal: str | None = None
    batch: str | None = None

    @property
    def passing(self) -> bool:
        """Whether anything is wanted that is not kept."""
        return self.types is None or bool(self.types & PASSING_TYPES)

    def takes(self, kind: str) -> bool:
        """Whether events of a type are wanted."""
        return self.types is None or kind in self.types


def followed(query: Any, headers: Mapping[str, str], known: tuple[str, ...]) -> Followed:
    """Parse; ``query`` is aiohttp's. The header ``Last-Event-ID``, which a browser sends by itself, stands above ``after``."""
    faults: list[Fault] = []
    for name, times in Counter(name for name, _ in query.items()).items():
        if name not in known:
            near = difflib.get_close_matches(short(name), known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
            faults.append(field_fault(name, f"Unknown query parameter {short(name)}.", hint))
        elif times > 1:
            faults.append(
                field_fault(name, f"{short(name)} is given {times} times.", "Give it once; several types: a,b.")
            )
    types = _types(query.get("types"), faults)
    if faults:
        raise InputInvalid(faults[0].message, faults=tuple(faults))
    return Followed(_after(query.get("after"), headers), types, query.get("principal"), query.get("batch"))


def _after(asked: str | None, headers: Mapping[str, str]) -> int | None:
    last = headers.get(LAST_EVENT_ID)
    if last:
        return position_of(last, LAST_EVENT_ID)
    return None if asked is None else position_of(asked)


def _types(text: str | None, faults: list[Fault]) -> frozenset[str] | None:
    if text is None:
        return None
    known = EVENT_TYPES | PASSING_TYPES
    types = frozenset(text.split(","))
    for name in sorted(types - known):
        near = difflib.get_close_matches(short(name), sorted(known), n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(sorted(known))}."
        faults.append(field_fault("types", f"There are no events of type {short(name)}.", hint))
    return types
