"""What the bodies of relayed words hold: JSON that somebody else wrote. Owns no meaning; never raises."""

from __future__ import annotations

import json
from typing import Any, cast

from ..jobs.model import JsonObject


def object_of(body: bytes) -> JsonObject:
    """The JSON object of a body; empty where it is none."""
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return cast("JsonObject", found) if isinstance(found, dict) else {}
