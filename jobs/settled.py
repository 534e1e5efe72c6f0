"""What became of a run when it was settled: the word that ``dispatch`` gives and ``host`` acts on."""

from __future__ import annotations

from enum import Enum


class Settled(str, Enum):
    """``ENDED``: the job's end is committed. ``AGAIN``: it was put back to run later, so this is not its end.
    ``OWED``: its end could not be committed yet; it is committed before the next job is claimed. ``LOST``: the attempt was not this
    instance's any more (its lease was lost), so what the run came to counts for nothing and is told to nobody."""

    ENDED = "ended"
    AGAIN = "again"
    OWED = "owed"
    LOST = "lost"
