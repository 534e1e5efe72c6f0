"""Clocks that a test moves."""

from __future__ import annotations


class HandMonotonic:
    """Seconds, moved by the test; starts at 0 like a machine that has just booted."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s
