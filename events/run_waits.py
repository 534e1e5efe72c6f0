"""The waits of each run that can be parked, so that it finds them again when it goes on: the same tokens, deadlines and answers.

Owns which waits belong to a run, in the order in which they were opened. Not safe by itself: the mailbox holds its lock. Does not own who
answers (``mailbox``), nor what is stored of them (the stores).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..jobs.waits import JobWait


class RunWait(Protocol):
    """What of a wait counts here; ``mailbox.Wait`` fits."""

    @property
    def node_id(self) -> str:
        """The node that asks."""
        ...

    @property
    def index(self) -> int:
        """Which of the node's calls asks."""
        ...

    def record(self) -> JobWait:
        """The wait as it stands."""
        ...


@dataclass(slots=True)
class _Run:
    asked: list[RunWait] = field(default_factory=list[RunWait])
    taken: set[int] = field(default_factory=set[int])  # by their place in `asked`


class RunWaits:
    """See the module's docstring. Knows only runs that were begun."""

    def __init__(self) -> None:
        """Nothing runs."""
        self._runs: dict[str, _Run] = {}

    def begin(self, prompt_id: str, waits: Iterable[RunWait]) -> None:
        """A run begins, or goes on, with these waits of it."""
        self._runs[prompt_id] = _Run(list(waits))

    def end(self, prompt_id: str) -> Sequence[RunWait]:
        """A run is over for good; what it asked."""
        run = self._runs.pop(prompt_id, None)
        return () if run is None else run.asked

    def take(self, prompt_id: str, node_id: str, index: int) -> RunWait | None:
        """The wait that this call of the node opened when the run got here before, if it did; each is given out once."""
        run = self._runs.get(prompt_id)
        for place, wait in enumerate(() if run is None else run.asked):
            if run is not None and (wait.node_id, wait.index) == (node_id, index) and place not in run.taken:
                run.taken.add(place)
                return wait
        return None

    def add(self, prompt_id: str, wait: RunWait) -> None:
        """A run opened a wait; not kept for one that was not begun."""
        run = self._runs.get(prompt_id)
        if run is not None:
            run.taken.add(len(run.asked))
            run.asked.append(wait)

    def of(self, prompt_id: str) -> Sequence[RunWait]:
        """What a run has asked."""
        run = self._runs.get(prompt_id)
        return () if run is None else run.asked
