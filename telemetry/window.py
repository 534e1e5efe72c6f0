"""Sliding windows: how busy the worker was lately, and how many jobs it ends per second.

Pure arithmetic in bounded memory; the time is an argument in seconds, of one clock for one window. Not owned: which
facts are counted (``listener``) and under what names they are shown (``metrics``). Safe from any thread.
"""

from __future__ import annotations

from threading import Lock

WINDOW_S = 300.0
SLOTS = 60


class SlidingSum:
    """The sum of amounts of the last ``window_s`` seconds, kept in ``slots`` slots: exact to one slot's width."""

    def __init__(self, started_at_s: float, window_s: float = WINDOW_S, slots: int = SLOTS) -> None:
        """Start counting at ``started_at_s``: a young window is not diluted by time it has not seen."""
        self._started_at_s = started_at_s
        self._width_s = window_s / slots
        self._slots = slots
        self._amounts: dict[int, float] = {}

    def add(self, at_s: float, amount: float) -> None:
        """Count ``amount`` at ``at_s``; what is older than the window is forgotten."""
        self._add(int(at_s // self._width_s), amount)

    def add_span(self, from_s: float, to_s: float) -> None:
        """Count the seconds between two times, each in the slot in which it passed."""
        from_s = max(from_s, to_s - self._width_s * self._slots)
        slot = int(from_s // self._width_s)
        while from_s < to_s:
            slot += 1
            until_s = min(to_s, slot * self._width_s)
            self._add(slot - 1, max(0.0, until_s - from_s))  # a slot's border may round to just before from_s
            from_s = max(from_s, until_s)

    def total(self, now_s: float) -> float:
        """The sum over the window that ends at ``now_s``."""
        newest = int(now_s // self._width_s)
        self._forget(newest)
        return sum(amount for slot, amount in self._amounts.items() if slot <= newest)

    def covered_s(self, now_s: float) -> float:
        """How many seconds ``total`` speaks for; at most the window, at least a millisecond."""
        oldest_s = (now_s // self._width_s - self._slots + 1) * self._width_s
        return max(now_s - max(oldest_s, self._started_at_s), 0.001)

    def _add(self, slot: int, amount: float) -> None:
        self._amounts[slot] = self._amounts.get(slot, 0.0) + amount
        if len(self._amounts) > self._slots:
            self._forget(max(self._amounts))

    def _forget(self, newest: int) -> None:
        for slot in [slot for slot in self._amounts if slot <= newest - self._slots]:
            del self._amounts[slot]


class RateWindow:
    """Events per second over the window."""

    def __init__(self, started_at_s: float, window_s: float = WINDOW_S) -> None:
        """Start counting at ``started_at_s``."""
        self._events = SlidingSum(started_at_s, window_s)
        self._lock = Lock()

    def add(self, at_s: float) -> None:
        """Count one event."""
        with self._lock:
            self._events.add(at_s, 1.0)

    def per_second(self, now_s: float) -> float:
        """Events of the window divided by its seconds; 0 when there were none."""
        with self._lock:
            return self._events.total(now_s) / self._events.covered_s(now_s)


class BusyWindow:
    """The share of the window in which at least one job was on the machine."""

    def __init__(self, started_at_s: float, window_s: float = WINDOW_S) -> None:
        """Start idle at ``started_at_s``."""
        self._busy = SlidingSum(started_at_s, window_s)
        self._since_s: dict[str, float] = {}
        self._lock = Lock()

    def begin(self, job_id: str, at_s: float) -> None:
        """``job_id`` is on the machine from now on; a second begin of the same job changes nothing."""
        with self._lock:
            self._since_s.setdefault(job_id, at_s)

    def end(self, job_id: str, at_s: float) -> None:
        """``job_id`` left the machine; nothing happens when it was not on it."""
        with self._lock:
            since_s = self._since_s.pop(job_id, None)
            if since_s is None:
                return
            if not self._since_s:
                self._busy.add_span(since_s, at_s)
                return
            still_s = min(self._since_s.values())
            if since_s < still_s:
                self._busy.add_span(since_s, min(at_s, still_s))

    def ratio(self, now_s: float) -> float:
        """0 (idle) to 1 (never idle), running jobs included."""
        with self._lock:
            covered_s = self._busy.covered_s(now_s)
            busy_s = self._busy.total(now_s)
            if self._since_s:
                busy_s += max(0.0, min(now_s - min(self._since_s.values()), covered_s))
            return min(1.0, max(0.0, busy_s / covered_s))
