"""The one order of the queue: a static number per job, the same pure function for every store.

``score = start_tag - ageing_s * priority``; the smallest score runs next, ties by ComfyUI's ``number``, then by
arrival. Start and finish tags are those of start-time fair queueing (P. Goyal, H. Vin, H. Cheng, "Start-time Fair
Queueing", SIGCOMM 1996), kept per principal and priority level; all tags are virtual seconds.

Bound: once the virtual time ``V >= start_tag + ageing_s * (PRIORITY_MAX - priority)``, no later arrival gets a
smaller score, as its start tag is at least ``V`` (a later ``front`` is an operator's word and stands outside).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .model import PRIORITY_MAX

FRONT_STEP = 1.0
"""How far before the head a job goes that asks for the front, in virtual seconds."""

SHORTEST_S = 0.001
"""A job counts as at least this long, so that tags always grow."""

SUSPECT_SCORE = 1e15
"""The score of a suspect of the poison rule: behind all other waiting work."""


@dataclass(frozen=True, slots=True)
class OrderPolicy:
    """How the queue is ordered. ``strict`` sorts by priority alone and can starve low ones.

    ``ageing_s``: virtual seconds of head start per priority point. ``weights``: a principal's share, default 1.
    """

    strict: bool = False
    ageing_s: float = 100.0
    weights: Mapping[str, float] = field(default_factory=lambda: {})

    def weight(self, principal: str) -> float:
        """The principal's share; 1 unless set."""
        return self.weights.get(principal, 1.0)

    @property
    def signature(self) -> str:
        """Changes whenever stored scores have to be computed anew."""
        return f"strict={self.strict};ageing_s={self.ageing_s!r}"


@dataclass(frozen=True, slots=True)
class Tags:
    """A job's stretch on the virtual clock."""

    start: float
    finish: float


def score(policy: OrderPolicy, start_tag: float, priority: int) -> float:
    """The static place of a job: smaller runs sooner."""
    if policy.strict:
        return float(-priority)
    return start_tag - policy.ageing_s * priority


def tag(
    virtual_time: float,
    finish_tags: Mapping[int, float],
    priority: int,
    estimated_s: float,
    weight: float = 1.0,
) -> Tags:
    """Tags of a new arrival.

    ``finish_tags`` maps priority level to the last finish tag of the same principal. A job starts after that principal's
    backlog of its own and higher levels and never waits for its lower ones.
    """
    backlog = [finish for level, finish in finish_tags.items() if level >= priority]
    start = max([virtual_time, *backlog])
    return _stretch(start, estimated_s, weight)


def retag(
    current_start: float,
    virtual_time: float,
    finish_tags: Mapping[int, float],
    priority: int,
    estimated_s: float,
    weight: float = 1.0,
) -> Tags:
    """The tags of a waiting job that gets another priority: as a new arrival's, but never later than it had."""
    start = tag(virtual_time, finish_tags, priority, estimated_s, weight).start
    return _stretch(min(current_start, start), estimated_s, weight)


def front_score(own_score: float, head_score: float | None) -> float:
    """The score of a job that asks for the front: before the waiting head, if that is not so already."""
    if head_score is None:
        return own_score
    return min(own_score, head_score - FRONT_STEP)


def virtual_time_at_claim(virtual_time: float, start_tag: float) -> float:
    """The virtual time after a claim: the largest start tag of any job claimed so far."""
    return max(virtual_time, start_tag)


def virtual_time_when_idle(virtual_time: float, largest_finish_tag: float | None) -> float:
    """The virtual time when nothing waits or runs: the largest finish tag, so that nobody keeps old credit or debt."""
    return virtual_time if largest_finish_tag is None else max(virtual_time, largest_finish_tag)


def charge(virtual_time: float, finish_tags: Mapping[int, float], priority: int, finish: float) -> float | None:
    """The level's last finish tag once ``finish`` is counted in; None when that changes nothing."""
    return finish if finish > max(virtual_time, finish_tags.get(priority, virtual_time)) else None


def finish_tag(start_tag: float, estimated_s: float, weight: float) -> float:
    """Where the stretch of a job that starts at ``start_tag`` ends."""
    return _stretch(start_tag, estimated_s, weight).finish


def sort_key(score_: float, number: float, seq: int) -> tuple[float, float, int]:
    """The total order of the queue: every store's query is held to it by the conformance suite."""
    return (score_, number, seq)


def overtake_bound(policy: OrderPolicy, start_tag: float, priority: int) -> float:
    """The virtual time from which no later arrival can overtake this job."""
    return start_tag + policy.ageing_s * (PRIORITY_MAX - priority)


def _stretch(start: float, estimated_s: float, weight: float) -> Tags:
    return Tags(start=start, finish=start + max(estimated_s, SHORTEST_S) / weight)
