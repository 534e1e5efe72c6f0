"""Labels: the contract's ``metadata`` of a job, and the filters on it. Pure.

Owns what a label may be, and the labels that we read ourselves, ``expeditor.priority`` and ``expeditor.pool``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, cast

from ...jobs.errors import Fault, InputInvalid
from ...jobs.instances import is_pool
from ...jobs.model import PRIORITY_MAX, PRIORITY_MIN, JsonObject
from ..faults import pointer, short, shown
from ..pools import RULE, check_served
from .refusals import INVALID_METADATA_FILTER, METADATA_INVALID, ContractRefusal

PRIORITY_LABEL = "expeditor.priority"
"""A job's priority, for clients that can send nothing else but labels."""
POOL_LABEL = "expeditor.pool"
"""Which instances may run a job."""
MAX_LABELS = 16
MAX_FILTERS = 3
MAX_VALUE_BYTES = 256
_KEY = re.compile(r"[A-Za-z0-9_.\-]{1,40}")
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_PRIORITIES = {str(level): level for level in range(PRIORITY_MIN, PRIORITY_MAX + 1)}


def labels_of(metadata: object) -> dict[str, str]:
    """The labels of a body's ``metadata``; none for null. Raises ``ContractRefusal`` (``metadata_invalid``) with every fault."""
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise _refused(Fault("/metadata", METADATA_INVALID, f"metadata must be an object, not {shown(metadata)}."))
    labels = cast("JsonObject", metadata)
    if len(labels) > MAX_LABELS:
        text = f"metadata may have at most {MAX_LABELS} labels; it has {len(labels)}."
        raise _refused(Fault("/metadata", METADATA_INVALID, text))
    faults = [
        Fault(pointer("metadata", short(key)), METADATA_INVALID, text, input_name="metadata")
        for key, value in labels.items()
        for text in _faults(key, value)
    ]
    if faults:
        raise _refused(*faults)
    return cast("dict[str, str]", dict(labels))


def label_priority(labels: dict[str, str]) -> int | None:
    """The priority that the reserved label names, or None. Raises ``ContractRefusal`` (``metadata_invalid``) for one that is none."""
    text = labels.get(PRIORITY_LABEL)
    if text is None:
        return None
    if text not in _PRIORITIES:
        message = (
            f"The label {PRIORITY_LABEL} must be a whole number from 1 to 10 (10 is most urgent), not {shown(text)}."
        )
        raise _refused(Fault(pointer("metadata", PRIORITY_LABEL), METADATA_INVALID, message))
    return _PRIORITIES[text]


def label_pool(labels: dict[str, str]) -> str | None:
    """The pool that the reserved label names, or None. Raises ``ContractRefusal`` (``metadata_invalid``) for what is no pool's name."""
    pool = labels.get(POOL_LABEL)
    if pool is not None and not is_pool(pool):
        raise _refused(
            Fault(pointer("metadata", POOL_LABEL), METADATA_INVALID, f"{POOL_LABEL}: {RULE}; got {shown(pool)}.")
        )
    return pool


def check_label_pool(pool: str | None, served: Collection[str]) -> None:
    """Raises ``ContractRefusal`` (``metadata_invalid``) for a pool that no instance serves."""
    try:
        check_served(pool, served)
    except InputInvalid as error:
        raise _refused(Fault(pointer("metadata", POOL_LABEL), METADATA_INVALID, error.message)) from None


def label_filters(pairs: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The filters of a list, checked. Raises ``ContractRefusal`` (``invalid_metadata_filter``)."""
    if len(pairs) > MAX_FILTERS:
        raise ContractRefusal(INVALID_METADATA_FILTER, f"At most {MAX_FILTERS} labels may be filtered by.")
    seen: set[str] = set()
    for key, value in pairs:
        if key in seen:
            raise ContractRefusal(INVALID_METADATA_FILTER, f"metadata[{key}] is given twice.")
        seen.add(key)
        for text in _faults(key, value):
            raise ContractRefusal(INVALID_METADATA_FILTER, text)
    return tuple(pairs)


def _faults(key: str, value: Any) -> Iterator[str]:
    if not _KEY.fullmatch(key):
        yield f"The label {shown(key)} must have a name of 1 to 40 letters, digits, underscores, dots or dashes."
    if not isinstance(value, str):
        yield f"The label {short(key)} must be a text, not {shown(value)}."
        return
    try:
        size_bytes = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        yield f"The label {short(key)} holds half of a surrogate pair, which is no text."
        return
    if size_bytes > MAX_VALUE_BYTES:
        yield f"The label {short(key)} has {size_bytes} bytes of UTF-8; it may have {MAX_VALUE_BYTES}."
    if _FORBIDDEN.search(value):
        yield f"The label {short(key)} holds a control character or one that turns the direction of text."


def _refused(*faults: Fault) -> ContractRefusal:
    return ContractRefusal(METADATA_INVALID, faults[0].message, faults=faults)
