"""How a time is written on the wire and in the log. Times inside are seconds since the epoch."""

from __future__ import annotations

from datetime import datetime, timezone


def rfc3339(at_s: float) -> str:
    """RFC 3339 with milliseconds and ``Z``."""
    return datetime.fromtimestamp(at_s, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
