"""The contract of the relay: short words between living instances, at most once, in no way kept.

For what is worthless a moment later (progress, previews), and to wake somebody who finds the truth in the store. Nothing may depend on
a word's arrival.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Heard = Callable[[str, str, bytes], None]
"""Who sent it, its kind, its body. Called on a thread of the relay; must be quick and never raise."""

WORD_MAX_BYTES = 4 * 1024 * 1024
"""The longest body; a longer one is not sent."""


class Relay(Protocol):
    """See the module's docstring."""

    def send(self, to: str | None, kind: str, body: bytes = b"") -> None:
        """Say something to an instance, or (None) to all others. Never blocks, never raises; dropped when the shared store is away or
        too much waits to be sent."""
        ...

    def listen(self, kind: str, heard: Heard) -> None:
        """Hear what is said of this kind to this instance, from now on."""
        ...
