"""The query of ``GET /jobs`` of the contract as a record. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...intake.v2.labels import label_filters
from ...intake.v2.refusals import INVALID_CURSOR, INVALID_REQUEST, ContractRefusal
from ...intake.v2.words import STATUS
from ...intake.views import JobQuery
from ...jobs.model import JobStatus

LIMIT_DEFAULT = 50
LIMIT_MAX = 200
_LABEL = re.compile(r"metadata\[(.*)\]", re.DOTALL)
_PLAIN = frozenset({"limit", "cursor", "status"})


def jobs_query(query: Mapping[str, str]) -> JobQuery:
    """Raises ``ContractRefusal``: ``invalid_metadata_filter``, ``invalid_cursor`` or ``invalid_request``, each 400."""
    pairs: list[tuple[str, str]] = []
    plain: dict[str, str] = {}
    for name, value in query.items():
        label = _LABEL.fullmatch(name)
        if label is not None:
            pairs.append((label.group(1), value))
        elif name not in _PLAIN:
            raise _malformed(f"Unknown parameter {name[:80]}; there are limit, cursor, status and metadata[key].")
        elif name in plain:
            raise _malformed(f"{name} is given twice.")
        else:
            plain[name] = value
    return JobQuery(
        statuses=_statuses(plain.get("status")),
        cursor=_cursor(plain.get("cursor")),
        limit=_limit(plain.get("limit")),
        labels=label_filters(pairs),
    )


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT_DEFAULT
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) >= 1):
        raise _malformed("limit must be a whole number from 1 up.")
    return min(int(text), LIMIT_MAX)


def _cursor(text: str | None) -> str | None:
    if text == "":
        raise ContractRefusal(INVALID_CURSOR, "The cursor is empty; leave it out for the first page.")
    return text


def _statuses(text: str | None) -> tuple[JobStatus, ...]:
    if text is None:
        return ()
    words = text.split(",")
    unknown = [word for word in words if word not in STATUS.values()]
    if unknown:
        raise _malformed(f"status must be among {', '.join(dict.fromkeys(STATUS.values()))}, not {unknown[0][:80]}.")
    return tuple(status for status, word in STATUS.items() if word in words)


def _malformed(message: str) -> ContractRefusal:
    return ContractRefusal(INVALID_REQUEST, message, malformed=True)
