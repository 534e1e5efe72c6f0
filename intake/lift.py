"""Lifts priority out of a request body, wherever a client put it, and checks it. Pure.

Order of precedence (DESIGN 5), first found wins: body ``priority``/``_priority``, ``prompt._priority``,
``extra_data._priority``, ``extra_data.extra_pnginfo.workflow.extra.expeditor.priority``, the default. All but the workflow's
are taken out of the body, so that nothing behind ever meets them. Lifted first, validated after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from ..jobs.errors import Fault, InputInvalid
from ..jobs.model import PRIORITY_DEFAULT, PRIORITY_MAX, PRIORITY_MIN
from .faults import shown

KEY = "_priority"
RULE = (
    f"priority must be an integer from {PRIORITY_MIN} to {PRIORITY_MAX} (10 is most urgent, default {PRIORITY_DEFAULT})"
)
_HINT = "Leave it out for the default."


@dataclass(frozen=True, slots=True)
class Lifted:
    """A body without priorities in it, and the first good priority found (None: nobody gave one).

    ``faults`` has one for every value that is not a priority, wherever it stood.
    """

    body: dict[str, Any]
    priority: int | None
    faults: tuple[Fault, ...] = ()

    @property
    def effective(self) -> int:
        """The priority to use."""
        return PRIORITY_DEFAULT if self.priority is None else self.priority


def lift(body: dict[str, Any], *, own_route: bool = False) -> Lifted:
    """As ``take``, but raises ``InputInvalid`` with every fault: a ``Lifted`` from here has none."""
    lifted = take(body, own_route=own_route)
    if lifted.faults:
        raise InputInvalid(lifted.faults[0].message, faults=lifted.faults)
    return lifted


def take(body: dict[str, Any], *, own_route: bool = False) -> Lifted:
    """Take every priority out of ``body`` (not changed; what is touched is copied shallowly). Never raises.

    On own routes the plain key ``priority`` counts too; on stock ``/prompt`` it is left alone there unless it is
    ``_priority``.
    """
    body = dict(body)
    found: list[tuple[str, Any]] = []
    if own_route and "priority" in body:
        found.append(("/priority", body.pop("priority")))
    _take(body, "", found)
    for part in ("prompt", "extra_data"):
        inner = body.get(part)
        if isinstance(inner, dict) and KEY in inner:
            copied = dict(cast("dict[str, Any]", inner))
            _take(copied, f"/{part}", found)
            body[part] = copied
    found.append(("/extra_data/extra_pnginfo/workflow/extra/expeditor/priority", _from_workflow(body)))
    given = [(pointer, value) for pointer, value in found if value is not None]
    good = [value for pointer, value in given if not check(value, pointer, _HINT)]
    faults = tuple(fault for pointer, value in given for fault in check(value, pointer, _HINT))
    return Lifted(body=body, priority=good[0] if good else None, faults=faults)


def check(value: object, pointer: str, hint: str) -> tuple[Fault, ...]:
    """No fault, or the one that says the range. ``hint``: what else may be done there."""
    if isinstance(value, int) and not isinstance(value, bool) and PRIORITY_MIN <= value <= PRIORITY_MAX:
        return ()
    message = f"{RULE}; got {shown(value)}."
    return (Fault(pointer=pointer, code="INPUT_INVALID", message=message, hint=hint),)


def _take(holder: dict[str, Any], pointer: str, found: list[tuple[str, Any]]) -> None:
    if KEY in holder:
        found.append((f"{pointer}/{KEY}", holder.pop(KEY)))


def _from_workflow(body: dict[str, Any]) -> Any:
    value: Any = body
    for key in ("extra_data", "extra_pnginfo", "workflow", "extra", "expeditor", "priority"):
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, Any]", value).get(key)
    return value
