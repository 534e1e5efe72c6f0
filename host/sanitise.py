"""Makes what nodes return safe to keep: history that cannot be written as JSON makes ``GET /history`` fail for everybody.

Pure. A clean result is returned as it is (one walk, no copy).
"""

from __future__ import annotations

import json
from typing import Any, cast

from ..jobs.model import JsonObject

DEPTH = 40
LENGTH = 200
MAX_BITS = 10_000
"""Python refuses to write integers of more than some 4,300 digits."""


def fields_of(value: Any) -> JsonObject:
    """The fields of a value that should be an object; none of one that is not."""
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def json_safe(value: dict[str, Any]) -> dict[str, Any]:
    """``value`` if JSON can say it, else a copy in which what JSON cannot say has become text."""
    try:
        json.dumps(value)
    except Exception:  # noqa: BLE001 - a node's own dict or list may fail in any way while it is walked
        return cast("dict[str, Any]", _plain(value, DEPTH, []))
    return value


def _plain(value: Any, depth: int, above: list[int]) -> Any:
    # ``above`` holds what is being walked: a list inside itself would be walked 2**depth times, were it there twice.
    if depth == 0 or id(value) in above:
        return "..."
    if isinstance(value, (dict, list, tuple)):
        above.append(id(cast("object", value)))
        try:
            return _walked(value, depth - 1, above)
        except Exception:  # noqa: BLE001 - see json_safe
            return _text(cast("object", value))
        finally:
            above.pop()
    if value is None or isinstance(value, (str, float, bool)) or (isinstance(value, int) and _is_sayable(value)):
        return value
    return _text(value)


def _walked(value: Any, depth: int, above: list[int]) -> Any:
    if isinstance(value, dict):
        return {_text(key): _plain(inner, depth, above) for key, inner in cast("dict[Any, Any]", value).items()}
    return [_plain(inner, depth, above) for inner in value]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return repr(value)[:LENGTH]
    except Exception:  # noqa: BLE001 - a node's own class may fail in any way while it says what it is
        return f"<{type(value).__name__}>"


def _is_sayable(number: int) -> bool:
    return number.bit_length() <= MAX_BITS
