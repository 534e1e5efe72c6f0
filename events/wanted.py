"""What is asked of a stream of events, and what it tells besides events: the records of ``streams``. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..jobs.events import LoggedEvent
from ..jobs.log import LogQuery
from .hub import ALL, Key

PAGE = 200
"""How many events are replayed at once: few enough for a reader on a slow line to take them in time."""


class TooSlow(Exception):
    """The reader did not come for more in time and was cut off. It may come back with its last cursor."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a stream tells: the events of one job, or of one batch, or of one principal, or of all (of several given: what fits all).

    ``after``: those after this position, replayed from the log; None: those from now on. ``passing``: also progress and previews.
    """

    job_id: str | None = None
    principal: str | None = None
    batch_id: str | None = None
    after: int | None = None
    passing: bool = True

    @property
    def key(self) -> Key:
        """What to listen to."""
        for kind, name in (("job", self.job_id), ("batch", self.batch_id), ("principal", self.principal)):
            if name is not None:
                return (kind, name)
        return ALL

    def fits(self, event: LoggedEvent) -> bool:
        """Whether an event is wanted."""
        return (
            self.job_id in (None, event.job_id)
            and self.principal in (None, event.principal)
            and self.batch_id in (None, event.batch_id)
        )

    def query(self, after: int) -> LogQuery:
        """What to ask the log for."""
        return LogQuery(after, PAGE, self.job_id, self.principal, self.batch_id)


@dataclass(frozen=True, slots=True)
class Gap:
    """Told first when events after the reader's position may have been forgotten: ``position`` is where the rest begins."""

    position: int


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """``streams`` at once; ``buffer`` events held for a reader that is not there yet; ``patience_s``: how long it may stay away."""

    streams: int = 2_000
    buffer: int = 256
    patience_s: float = 30.0
