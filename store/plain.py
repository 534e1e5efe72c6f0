"""The questions of a parked job as plain values, for stores that keep them as JSON.

Owns the form: lists in the order of the fields; a later version adds to their ends. Text of half a surrogate pair goes through.
"""

from __future__ import annotations

from typing import Any

from ..jobs.waits import JobWait, Parked, ask_from, ask_json

_OF_WAIT = 8


def parked_json(parked: Parked) -> list[Any]:
    """As JSON can write it."""
    return [parked.since_s, [_wait(wait) for wait in parked.waits], parked.ready_at_s, parked.boot_id]


def parked_of(plain: list[Any]) -> Parked:
    """The record again."""
    since_s, waits, *later = plain
    ready_at_s, boot_id, *_ = later or (None, "")
    return Parked(tuple(_wait_of(values) for values in waits), since_s, ready_at_s, boot_id)


def _wait(wait: JobWait) -> list[Any]:
    times = (wait.opened_at_s, wait.deadline_at_s)
    return [wait.token, wait.node_id, ask_json(wait.ask), *times, wait.max_bytes, wait.answer, wait.index]


def _wait_of(values: list[Any]) -> JobWait:
    token, node_id, ask, opened_at_s, deadline_at_s, max_bytes, answer, index = values[:_OF_WAIT]
    return JobWait(token, node_id, ask_from(ask), opened_at_s, deadline_at_s, max_bytes, answer, index)
