"""How faults become one refusal: JSON pointers, display of values, choice of the error class, the cap.

Owns nothing about what is faulty; the stages do. Everything here is linear in the number of faults.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import cast

from ..jobs.errors import (
    Cycle,
    Fault,
    InputInvalid,
    InvalidPrompt,
    InvalidPromptId,
    LimitExceeded,
    LinkInvalid,
    NodeNotAllowed,
    NoOutput,
    Refused,
    UnknownNode,
)
from ..jobs.model import JsonObject

_SHOWN_CHARS = 80
_CLASSES: dict[str, type[Refused]] = {
    kind.code: kind
    for kind in (
        InvalidPrompt,
        InvalidPromptId,
        UnknownNode,
        NodeNotAllowed,
        InputInvalid,
        LinkInvalid,
        Cycle,
        NoOutput,
        LimitExceeded,
    )
}


def pointer(*parts: object) -> str:
    """The RFC 6901 JSON pointer to ``parts`` from the root of the body."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def shown(value: object) -> str:
    """``value`` for a message: short whatever its size, and without walking all of it."""
    if isinstance(value, str):
        text = repr(value[:_SHOWN_CHARS])
        return text if len(value) <= _SHOWN_CHARS else text + "…"
    if isinstance(value, dict):
        return _shown_object(cast("dict[str, object]", value))
    if isinstance(value, list):
        return _shown_list(cast("list[object]", value))
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, int) and value.bit_length() > 128:
        return "an integer of more than 38 digits"
    return repr(value)


def short(name: object) -> str:
    """A name out of the request (node id, class, input), cut to what a message can bear."""
    text = str(name)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"


def field_fault(name: str, message: str, hint: str | None = None) -> Fault:
    """What is wrong with one field of a body or one parameter of a query."""
    return Fault(pointer(short(name)), InputInvalid.code, message, hint=hint, input_name=name)


def refusal(faults: Iterable[Fault], max_faults: int) -> Refused:
    """The error for ``faults`` (at least one): its class is that of the first, it lists at most ``max_faults``."""
    every = tuple(faults)
    first, listed = every[0], every[:max_faults]
    kind = _CLASSES.get(first.code, InvalidPrompt)
    if len(every) == 1:
        return kind(first.message, faults=every)
    more = f" (the first of {len(every)} faults)"
    if len(listed) < len(every):
        more = f" (the first of {len(every)} faults; {len(listed)} are listed)"
    return kind(first.message + more, details={"faults": len(every), "listed": len(listed)}, faults=listed)


def refused_as(message: str, faults: tuple[Fault, ...], details: JsonObject) -> Refused:
    """The error that another instance made of these faults (at least one)."""
    kind = _CLASSES.get(faults[0].code, InvalidPrompt)
    return kind(message, details=details, faults=faults)


def _shown_list(value: list[object]) -> str:
    if len(value) > 2 or any(isinstance(part, (list, dict)) for part in value):
        return f"a list of {len(value)}"
    return "[" + ", ".join(shown(part) for part in value) + "]"


def _shown_object(value: dict[str, object]) -> str:
    return "{}" if not value else "an object with 1 key" if len(value) == 1 else f"an object with {len(value)} keys"


def unknown_field(name: str, known: AbstractSet[str]) -> Fault:
    """The fault of a field that nobody knows: names the nearest known one, or all."""
    near = difflib.get_close_matches(short(name), known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known fields: {', '.join(sorted(known))}."
    return field_fault(short(name), f"Unknown field {short(name)}.", hint)
