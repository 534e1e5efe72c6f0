"""Makes what nodes return safe to keep: history that cannot be written as JSON makes ``GET /history`` fail for everybody.

Pure. A clean result is returned as it is (one walk, no copy).
"""

from __future__ import annotations

import json
from typing import Any, cast


def json_safe(value: dict[str, Any]) -> dict[str, Any]:
    """``value`` if JSON can say it, else a copy in which what JSON cannot say has become text."""
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return cast("dict[str, Any]", _plain(value, 40))
    return value


def _plain(value: Any, depth: int) -> Any:
    if depth == 0:
        return "..."
    if isinstance(value, dict):
        return {str(key): _plain(inner, depth - 1) for key, inner in cast("dict[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner, depth - 1) for inner in cast("list[Any]", value)]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return repr(value)[:200]
