"""Finding what is in Redis: rows by id, and what a writer holds from the start.

Owns which key answers which question. Decides nothing. What is found by filters is ``finding``'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import redis

from ...jobs.model import Job, Payload
from ..ledger import StoredKey
from .commits import request_field
from .keys import Keys, id_of_key, key_of_id, mark_of
from .records import Kept, readable, unpack_job, unpack_payload


class State(NamedTuple):
    """What stands in the queue's head. ``birth`` is made with the queue: another one means another queue."""

    birth: str
    version: int
    seq: int
    position: int
    forgotten: int
    virtual_time: float
    paused: bool
    epoch: float | None

    @classmethod
    def of(cls, fields: Sequence[bytes | None]) -> State | None:
        """From Redis' answer; None when there is no queue."""
        birth, version, seq, position, forgotten, virtual_time, paused, epoch = fields
        if birth is None:
            return None
        return cls(
            birth.decode("ascii"),
            int(version or 0),
            int(seq or 0),
            int(position or 0),
            int(forgotten or 0),
            float(virtual_time or 0.0),
            paused == b"1",
            None if epoch is None else float(epoch),
        )


STATE_FIELDS = ("birth", "version", "seq", "position", "forgotten", "virtual_time", "paused", "epoch")


class BullmqRows:
    """Rows on one connection, used by one thread at a time."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        """``client`` answers in bytes."""
        self._client: Any = client
        self._keys = keys

    def state(self) -> State | None:
        """The queue's head; None when there is no queue."""
        return State.of(self._client.hmget(self._keys("meta"), STATE_FIELDS))

    def found(self) -> State:
        """The queue's head, where there is one."""
        return self.state() or State("", 0, 0, 0, 0, 0.0, False, None)

    def kept(self, job_ids: Sequence[str]) -> dict[str, Kept]:
        """Those of these jobs that there are. ``StoreUnavailable`` when this version cannot read one of them."""
        found = self._packed_at([key_of_id(job_id) for job_id in job_ids])
        return {job_id: unpack_job(job_id, packed) for job_id, packed in found if packed is not None}

    def kept_at(self, keys: Sequence[bytes]) -> list[Kept | None]:
        """The jobs of these keys, in their order; None also for those that this version cannot read."""
        return readable(self._packed_at(keys))

    def _packed_at(self, keys: Sequence[bytes]) -> list[tuple[str, bytes | None]]:
        if not keys:
            return []
        pipe = self._client.pipeline(transaction=False)
        pipe.hmget(self._keys("live"), keys)
        pipe.hmget(self._keys("ended"), keys)
        pipe.hmget(self._keys("live"), keys)  # a job that was put back between the first two looks
        first, second, third = pipe.execute()
        found = (one or two or three for one, two, three in zip(first, second, third, strict=True))
        return [(id_of_key(key), packed) for key, packed in zip(keys, found, strict=True)]

    def job(self, job_id: str) -> Job | None:
        """See ``KnownRows``."""
        kept = self.kept((job_id,)).get(job_id)
        return None if kept is None else kept.job

    def payload(self, job_id: str) -> Payload | None:
        """See ``KnownRows``."""
        packed = self._client.hget(self._keys("payload"), key_of_id(job_id))
        return None if packed is None else unpack_payload(packed)

    def payloads(self, job_ids: Sequence[str]) -> dict[str, Payload]:
        """What these jobs run."""
        found: dict[str, Payload] = {}
        for at in range(0, len(job_ids), 200):
            some = job_ids[at : at + 200]
            packed = self._client.hmget(self._keys("payload"), [key_of_id(job_id) for job_id in some])
            found |= {job_id: unpack_payload(one) for job_id, one in zip(some, packed, strict=True) if one is not None}
        return found

    def keyed(self, principal: str, key: str) -> StoredKey | None:
        """See ``KnownRows``."""
        return self.request_keys([(principal, key)]).get((principal, key))

    def request_keys(self, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredKey]:
        """See ``HeldRows``."""
        if not asked:
            return {}
        packed = self._client.hmget(self._keys("request"), [request_field(*one) for one in asked])
        plain = {key: json.loads(one) for key, one in zip(asked, packed, strict=True) if one is not None}
        return {key: StoredKey(*key, *values) for key, values in plain.items()}

    def was_pruned(self, job_id: str) -> bool:
        """See ``KnownRows``."""
        return self._client.zscore(self._keys("pruned"), mark_of(job_id)) is not None

    def paused(self) -> bool:
        """See ``KnownRows``."""
        return self.found().paused

    def known_ids(self, job_ids: Iterable[str]) -> set[str]:
        """See ``HeldRows``."""
        asked = list(job_ids)
        if not asked:
            return set()
        pipe = self._client.pipeline(transaction=False)
        for job_id in asked:
            key = key_of_id(job_id)
            pipe.hexists(self._keys("live"), key).hexists(self._keys("ended"), key)
            pipe.zscore(self._keys("pruned"), mark_of(job_id))
        answers = pipe.execute()
        return {
            job_id
            for at, job_id in enumerate(asked)
            if answers[3 * at] or answers[3 * at + 1] or answers[3 * at + 2] is not None
        }

    def has_batch(self, batch_id: str) -> bool:
        """See ``HeldRows``."""
        return bool(self._client.hexists(self._keys(f"batch:{batch_id}"), "about"))

    def ended(self, job_ids: Iterable[str]) -> list[Job]:
        """See ``HeldRows``."""
        keys = [key_of_id(job_id) for job_id in job_ids]
        packed: list[bytes | None] = self._client.hmget(self._keys("ended"), keys) if keys else []
        read = readable((id_of_key(key), one) for key, one in zip(keys, packed, strict=True))
        return [kept.job for kept in read if kept is not None]

    def mean_run_s(self, signature: str) -> float | None:
        """See ``Means``."""
        packed = self._client.hget(self._keys("means"), signature.encode("utf-8", "surrogatepass"))
        return None if packed is None else json.loads(packed)[0]

    def last_seq(self) -> int:
        """The ``seq`` of the newest job there ever was; 0 before the first."""
        return self.found().seq

    def last_position(self) -> int:
        """The position of the newest event there ever was; 0 before the first."""
        return self.found().position

    def unlocked(self, jobs: Sequence[Job]) -> list[Job]:
        """Those of these jobs whose lease is gone."""
        if not jobs:
            return []
        pipe = self._client.pipeline(transaction=False)
        for job in jobs:
            pipe.exists(self._keys.lock(job))
        return [job for job, there in zip(jobs, pipe.execute(), strict=True) if not there]

    def up_for_s(self) -> float:
        """How long this Redis has been running."""
        return float(self._client.info("server")["uptime_in_seconds"])
