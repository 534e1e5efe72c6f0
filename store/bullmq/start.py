"""What a writer holds from the start (``opening``), as its ledger asks for it.

Owns its forms, and what the writer looks up later, kept for the length of one batch.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

import redis

from ...jobs.model import Job, Payload
from . import opening
from .keys import Keys
from .records import Kept
from .rows import BullmqRows

_PAYLOADS_AT_ONCE = 200


class WriterRows(BullmqRows):
    """``HeldRows``: answers for the start from what was read then."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        """Make the queue's head if there is none, and read everything."""
        super().__init__(client, keys)
        self._fetched: dict[str, Kept] = {}
        self._payloads: dict[str, Payload] = {}
        self._coming: list[str] = []
        client.hsetnx(keys("meta"), "birth", secrets.token_hex(8))
        # What this version cannot read is for others to run: it takes part without it.
        self.begun, self.live, self._tags, pools = opening.read(client, keys)
        self.pools = {pool.decode("utf-8") for pool in pools}

    def unfinished(self) -> list[Job]:
        """See ``HeldRows``."""
        return [kept.job for kept in self.live]

    def last_numbers(self) -> dict[int, int]:
        """See ``NumberedRows``."""
        return {kept.job.seq: kept.number for kept in self.live}

    def virtual_time(self) -> float:
        """See ``HeldRows``."""
        return self.begun.virtual_time

    def finish_tags(self) -> dict[str, dict[int, float]]:
        """See ``HeldRows``. Without those that the virtual time has reached."""
        tags: dict[str, dict[int, float]] = {}
        for field, finish in self._tags.items():
            level, _, principal = field.partition(b":")
            if float(finish) > self.begun.virtual_time:
                tags.setdefault(principal.decode("utf-8", "surrogatepass"), {})[int(level)] = float(finish)
        return tags

    def anew(self) -> None:
        """A batch begins: nothing is looked up yet."""
        self._fetched.clear()
        self._payloads.clear()
        self._coming.clear()

    def fetched(self, job_id: str) -> Kept | None:
        """A job, looked up once in a batch."""
        if job_id not in self._fetched:
            self._fetched |= self.kept((job_id,))
        return self._fetched.get(job_id)

    def job(self, job_id: str) -> Job | None:
        """See ``KnownRows``."""
        kept = self.fetched(job_id)
        return None if kept is None else kept.job

    def ended(self, job_ids: Iterable[str]) -> list[Job]:
        """See ``HeldRows``."""
        asked = list(job_ids)
        self._fetched |= self.kept(asked)
        return [self._fetched[job_id].job for job_id in asked if job_id in self._fetched]

    def last_number(self, job: Job) -> int:
        """See ``NumberedRows``."""
        kept = self.fetched(job.id)
        return 0 if kept is None else kept.number

    def payloads_come(self, job_ids: Sequence[str]) -> None:
        """The payloads of these jobs will be asked for, in this order."""
        self._coming = list(reversed(job_ids))

    def payload(self, job_id: str) -> Payload | None:
        """See ``KnownRows``."""
        if not self._coming or self._coming[-1] != job_id:
            return self._payloads.pop(job_id, None) or super().payload(job_id)
        if job_id not in self._payloads:
            self._payloads = self.payloads(self._coming[: -_PAYLOADS_AT_ONCE - 1 : -1])
        self._coming.pop()
        return self._payloads.pop(job_id, None)
