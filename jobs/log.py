"""The records in which rooms talk about the event log: what is asked of it and what it answers.

Owns neither what is an event (``events``) nor where they are kept (``store.log``).
"""

from __future__ import annotations

from dataclasses import dataclass

from .events import LoggedEvent

EVENTS_PER_JOB = 1_000
"""The most events kept of one job: somebody may give it another priority for ever."""

LOG_LIMIT_MAX = 1_000
"""The most events of one page."""


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Events after a position, oldest first, of one job, one principal, one batch or all; 1 to ``LOG_LIMIT_MAX`` of them."""

    after: int = 0
    limit: int = 500
    job_id: str | None = None
    principal: str | None = None
    batch_id: str | None = None


@dataclass(frozen=True, slots=True)
class LogPage:
    """What was found. ``end``: the position up to which all was looked at: go on from there; ``more``: there is more now.

    ``forgotten``: the largest position that was forgotten, with a pruned job or because its job had too many events; who asks
    for less may have missed events.
    """

    events: tuple[LoggedEvent, ...]
    end: int
    more: bool
    forgotten: int
