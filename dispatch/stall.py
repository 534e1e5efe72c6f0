"""When is a run stuck, and what then: the watchdog's rule. Pure.

A run that gives no sign of life for ``stall_timeout_s`` is stopped; one that goes on for ``kill_grace_s`` after that cannot be
stopped from inside the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

EXIT_STALLED = 75
"""The process's exit code when a run could not be stopped (``EX_TEMPFAIL`` of sysexits.h: try again)."""
EXIT_WORKER_DIED = 76
"""The process's exit code when ComfyUI's worker thread had died."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is too long, in seconds; ``stall_timeout_s`` 0: never. ``exit_on_stall``: end the process when nothing else helps."""

    stall_timeout_s: float
    kill_grace_s: float
    exit_on_stall: bool = False


@dataclass(frozen=True, slots=True)
class RunSigns:
    """What is known of a run's life. ``stopped_for_s``: seconds since it was stopped for its silence; None: it was not."""

    job_id: str
    silent_s: float
    stopped_for_s: float | None = None
    node_id: str | None = None
    class_type: str | None = None

    @property
    def place(self) -> str:
        """Where it is, for people."""
        if self.node_id is None:
            return "before its first node"
        return f"at node {self.node_id}" + (f" ({self.class_type})" if self.class_type else "")


class Step(Enum):
    """What to do about a run."""

    NOTHING = "nothing"
    STOP = "stop"
    GIVE_UP = "give_up"


def next_step(run: RunSigns, patience: Patience) -> Step:
    """What to do about a run now."""
    if run.stopped_for_s is not None:
        return Step.GIVE_UP if run.stopped_for_s >= patience.kill_grace_s else Step.NOTHING
    if 0 < patience.stall_timeout_s <= run.silent_s:
        return Step.STOP
    return Step.NOTHING


def look_interval_s(patience: Patience) -> float:
    """How often to look, so that nothing is found more than a tenth late; at least every five seconds."""
    bounds_s = [bound_s for bound_s in (patience.stall_timeout_s, patience.kill_grace_s) if bound_s > 0]
    return min(5.0, max(0.1, min(bounds_s, default=50.0) / 10))
