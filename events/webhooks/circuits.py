"""Which hosts are left alone for a while because nobody answers there, so that their messages do not use up tries and time. Pure.

After some failures in a row a host rests; then one message tries it, and its success opens it again. Nothing is kept of hosts
that answer. Does not own when a message itself is tried again (``retrying``).
"""

from __future__ import annotations

from dataclasses import dataclass

FAILURES = 5
"""So many in a row close a host."""
REST_S = 30.0
LONGEST_REST_S = 600.0
PLACES_MAX = 10_000
"""The most hosts of which failures are remembered; the oldest are forgotten."""


@dataclass(slots=True)
class _Trouble:
    failures: int = 0
    rests: int = 0
    until_s: float = 0.0


class Circuits:
    """Hosts by their place (host and port)."""

    def __init__(self) -> None:
        """All are open."""
        self._troubles: dict[str, _Trouble] = {}

    def closed(self, now_s: float) -> frozenset[str]:
        """Those that rest now."""
        return frozenset(place for place, trouble in self._troubles.items() if trouble.until_s > now_s)

    def width(self, place: str, most: int) -> int:
        """How many may go there at once: one while it is not known to answer again."""
        trouble = self._troubles.get(place)
        return 1 if trouble is not None and trouble.rests else most

    def answered(self, place: str) -> None:
        """Somebody answered there."""
        self._troubles.pop(place, None)

    def failed(self, place: str, now_s: float) -> None:
        """Nobody answered there, or only to say that nothing works."""
        trouble = self._troubles.setdefault(place, _Trouble())
        if trouble.until_s > now_s:
            return  # was on its way when the host was left alone
        trouble.failures += 1
        if trouble.failures >= FAILURES or trouble.rests:
            trouble.until_s = now_s + min(REST_S * 2.0 ** min(trouble.rests, 10), LONGEST_REST_S)
            trouble.rests += 1
            trouble.failures = 0
        if len(self._troubles) > PLACES_MAX:
            self._troubles.pop(next(iter(self._troubles)))
