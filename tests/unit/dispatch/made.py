"""What the tests of dispatch hand in: a monotonic clock set by hand and fakes that note what they hear."""

from __future__ import annotations


class HandMonotonic:
    """Seconds, moved by the test; starts at 0 like a machine that has just booted."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class FakeInterrupter:
    """Notes every interruption that is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def interrupt(self, job_id: str) -> bool:
        self.asked.append(job_id)
        return True


class FakeObserver:
    """Notes what runs tell of themselves."""

    def __init__(self) -> None:
        self.nodes: list[tuple[str, float]] = []
        self.cache: list[tuple[int, int]] = []
        self.gaps: list[float] = []

    def node_ran(self, class_type: str, duration_s: float) -> None:
        self.nodes.append((class_type, duration_s))

    def nodes_cached(self, hits: int, misses: int) -> None:
        self.cache.append((hits, misses))

    def gap(self, duration_s: float) -> None:
        self.gaps.append(duration_s)


class FakeFiles:
    """One size for the files it was told of."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def size_bytes(self, folder: str, subfolder: str, name: str) -> int | None:
        return 123 if name in self._names else None
