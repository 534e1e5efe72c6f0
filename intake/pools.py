"""Which pool a job asks for, wherever a client put it, and whether that can be. Pure.

Order of precedence, first found wins: ``pool`` of our own routes, ``extra_data._pool``,
``extra_data.extra_pnginfo.workflow.extra.expeditor.pool``. Taken out of the extra data, but for the workflow's.
Not owned: which pools there are (``ports.Roster``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, cast

from ..jobs.errors import Fault, InputInvalid
from ..jobs.instances import is_pool
from ..jobs.model import DEFAULT_POOL, JsonObject
from .faults import shown

FIELD, KEY = "pool", "_pool"
RULE = "pool must be lower-case letters, digits, dashes and underscores, at most 32, a letter or digit first"
_HINT = "Leave it out for the default."
_IN_WORKFLOW = ("extra_data", "extra_pnginfo", "workflow", "extra", "expeditor", FIELD)


@dataclass(frozen=True, slots=True)
class TakenPool:
    """A body without a pool in its extra data, and the first one found (None: nobody named one)."""

    body: JsonObject
    pool: str | None
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class AlonePools:
    """Fits ``ports.Roster`` where one instance stands alone: its own pools are all there are."""

    own: tuple[str, ...] = (DEFAULT_POOL,)

    def pools(self) -> tuple[str, ...]:
        """Its own."""
        return self.own

    def usual(self) -> str:
        """The default, unless it serves others only."""
        return DEFAULT_POOL if DEFAULT_POOL in self.own else self.own[0]

    @property
    def shared(self) -> bool:
        """No."""
        return False

    def why_nobody(
        self,
        pool: str,  # noqa: ARG002
        needs: tuple[frozenset[str], frozenset[str]] | None = None,  # noqa: ARG002
        only: str | None = None,  # noqa: ARG002
    ) -> str | None:
        """This one runs them all."""
        return None

    def machines(self, pool: str | None = None) -> int:  # noqa: ARG002
        """Itself."""
        return 1


def take_pool(body: JsonObject, *, own_route: bool) -> TakenPool:
    """Take the pool out of ``body`` (not changed; what is touched is copied shallowly). Never raises."""
    found = [("/" + FIELD, body.get(FIELD))] if own_route else []
    extra = body.get("extra_data")
    if isinstance(extra, dict) and KEY in extra:
        copied = dict(cast("JsonObject", extra))
        found.append((f"/extra_data/{KEY}", copied.pop(KEY)))
        body = {**body, "extra_data": copied}
    found.append(("/" + "/".join(_IN_WORKFLOW), _from_workflow(body)))
    given = [(where, value) for where, value in found if value is not None]
    faults = tuple(fault for where, value in given for fault in check(value, where))
    good = [cast("str", value) for where, value in given if not check(value, where)]
    return TakenPool(body, good[0] if good else None, faults)


def check(value: object, where: str) -> tuple[Fault, ...]:
    """No fault, or the one that says what a pool may be called."""
    if isinstance(value, str) and is_pool(value):
        return ()
    return (Fault(where, InputInvalid.code, f"{RULE}; got {shown(value)}.", _HINT, input_name=FIELD),)


def check_served(pool: str | None, served: Collection[str], where: str = "/" + FIELD) -> None:
    """Refuse a pool that no instance serves. Raises ``InputInvalid`` that names those that there are."""
    if pool is None or pool in served:
        return
    there = ", ".join(sorted(served)) or "none at all"
    text = f"No instance serves the pool {pool}; there are: {there}."
    fault = Fault(where, InputInvalid.code, text, _HINT, input_name=FIELD)
    raise InputInvalid(text, details={"pool": pool, "pools": sorted(served)}, faults=(fault,))


def _from_workflow(body: JsonObject) -> Any:
    value: Any = body
    for key in _IN_WORKFLOW:
        if not isinstance(value, dict):
            return None
        value = cast("JsonObject", value).get(key)
    return value
