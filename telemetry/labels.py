"""Bounds for label values that come from outside: a metric must not grow with what clients send. Safe from any thread."""

from __future__ import annotations

from threading import Lock

OTHER = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class FirstSeen:
    """Lets the first ``limit`` different values through and calls every later one ``other``."""

    def __init__(self, limit: int) -> None:
        """``limit``: how many values get a name of their own."""
        self._limit = limit
        self._known: set[str] = set()
        self._lock = Lock()

    def bound(self, value: str) -> str:
        """``value`` itself, or ``other`` when it came too late."""
        if value in self._known:
            return value
        with self._lock:
            if len(self._known) >= self._limit and value not in self._known:
                return OTHER
            self._known.add(value)
        return value


def bound_method(method: str) -> str:
    """A known HTTP method, or ``other``: a client may send any word."""
    return method if method in METHODS else OTHER
