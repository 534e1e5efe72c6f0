"""What a change of a job means for BullMQ: the steps of ``moves.lua`` that keep its structures in step with our record.

Owns which steps. A step that BullMQ refuses changes nothing of ours: the record decides, BullMQ follows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ...jobs.model import Job, JobStatus
from ...jobs.transitions import is_terminal
from .keys import Keys, bull_id, token_of
from .packing import packed
from .ticks import rank

ENDED_KEPT = "1000"
"""How many ended jobs BullMQ shows of each kind; ours are kept apart."""

EVENTS_KEPT = "100"
"""How long BullMQ's own stream of events gets; ours is kept apart."""

HELD_MS = 100 * 365 * 86_400_000
"""The delay of a held job: until somebody releases it."""

_JSON = json.JSONEncoder(separators=(",", ":")).encode

Move = list[Any]


class Mover:
    """Steps for one namespace at one moment: ``epoch`` is that of the ranks, ``now_s`` the queue's time."""

    def __init__(
        self, keys: Keys, lease_s: float, epoch: float, now_s: float, pack: Callable[[Any], bytes] = packed
    ) -> None:
        """Touch nothing. ``pack``: what the caller's thread packs with."""
        self._keys = keys
        self._pack = pack
        self._lease_s = lease_s
        self._epoch = epoch
        self._now_s = now_s
        self._now_ms = str(round(now_s * 1000))

    def steps(self, before: Job | None, after: Job | None) -> list[Move]:
        """From what was committed last to what is about to be; None: there is, or will be, no such job."""
        if after is None:
            return [] if before is None else [self._move("drop", before)]
        waited = before is not None and before.in_line
        begun = before is not None and not waited and not is_terminal(before.status)
        if begun:
            assert before is not None, "it has begun"
            return self._from_machine(before, after)
        goes_on = before is not None and before.status is JobStatus.WAITING and after.status is JobStatus.RUNNING
        ran = goes_on or after.attempt > (0 if before is None else before.attempt)
        if after.in_line:
            if waited and before is not None and self._aside_until(before) == self._aside_until(after):
                return [] if before.score == after.score else [self._move("rank", after, str(self.rank(after)), "0")]
            return [self._put(after, new=before is None)]
        enter = [] if waited else [self._put(after, new=before is None)]
        if not ran:
            return [self._move("drop", after)] if waited else []
        last = after.attempts[-1]
        took = [*enter, self._take(after, last.boot_id, last.number)]
        return [*took, self._finish(after, after)] if is_terminal(after.status) else took

    def open(self, pool: str, paused: bool) -> list[Move]:
        """A pool is used for the first time."""
        prefix = self._keys.queue(pool)
        return [["open", prefix, pool, EVENTS_KEPT, "expeditor"], *([self.pause(pool, True)] if paused else [])]

    def pause(self, pool: str, paused: bool) -> Move:
        """The queue is paused or not any more."""
        return ["pause", self._keys.queue(pool), pool, int(paused)]

    def rank_again(self, job: Job) -> Move:
        """A waiting job, after the epoch was moved."""
        return self._move("rank", job, str(self.rank(job)), "0")

    def rank(self, job: Job) -> int:
        """Where the job stands for BullMQ."""
        return rank(job.score, self._epoch)

    def _from_machine(self, before: Job, after: Job) -> list[Move]:
        if is_terminal(after.status):
            return [self._finish(before, after)]
        if after.in_line:
            return [self._back(before, after)]
        if after.attempt == before.attempt or not after.attempts:
            return []
        last = after.attempts[-1]
        return [self._back(before, after), self._take(after, last.boot_id, last.number)]

    def _take(self, job: Job, boot_id: str, attempt: int) -> Move:
        lease_ms = str(max(1, round(self._lease_s * 1000)))
        return self._move("take", job, token_of(boot_id, attempt), lease_ms, self._now_ms)

    def _finish(self, before: Job, after: Job) -> Move:
        good = after.status is JobStatus.SUCCEEDED
        value = json.dumps({"outputs": len(after.outputs)}) if good else (after.cause or after.status).value
        field, ended = ("returnvalue", "completed") if good else ("failedReason", "failed")
        return self._move("finish", before, lease_of(before), self._now_ms, field, value, ended, int(ENDED_KEPT))

    def _back(self, before: Job, after: Job) -> Move:
        until_s = self._aside_until(after)
        delay_ms = "0" if until_s is None else self._delay_ms(until_s)
        return self._move("back", after, lease_of(before), str(self.rank(after)), delay_ms, *self._packed(after))

    def _put(self, job: Job, *, new: bool) -> Move:
        return self._move("add" if new else "put", job, *self._packed(job))

    def _packed(self, job: Job) -> tuple[bytes, str, bytes, str, int]:
        until_s = self._aside_until(job)
        opts: dict[str, Any] = {"priority": self.rank(job)}
        if until_s is not None:
            opts["delay"] = int(self._delay_ms(until_s))
        prefix, name = self._keys.queue(job.pool), job.id[:64]
        if not name.isascii():
            name = name.encode("utf-8", "replace").decode("utf-8")
        head = (prefix, bull_id(job.seq), name, self._now_ms, None, None, None, None, None)
        data = f'{{"priority":{job.priority},"by":{_JSON(job.principal.name[:40])}}}'
        return self._pack(head), data, self._pack(opts), self._now_ms, int(until_s is not None)

    def _aside_until(self, job: Job) -> float | None:
        """Until when a queued or parked job cannot be claimed; None when it can."""
        if job.held:
            return float("inf")
        due_s = job.not_before_s
        return due_s if due_s is not None and due_s > self._now_s else None

    def _delay_ms(self, until_s: float) -> str:
        return (
            str(min(HELD_MS, max(1, round((until_s - self._now_s) * 1000)))) if until_s < float("inf") else str(HELD_MS)
        )

    def _move(self, name: str, job: Job, *args: Any) -> Move:
        return [name, self._keys.queue(job.pool), bull_id(job.seq), *args]


def lease_of(job: Job) -> str:
    """What the lease of a job that runs holds."""
    last = job.attempts[-1] if job.attempts else None
    return "" if last is None else token_of(last.boot_id, last.number)
