"""Finding by filters, by time and in the log: ``ReadLedger`` on the reading connection.

Owns which index is walked. What has not ended stands in the member's memory (``Line``), what has ended in sorted sets; both are merged.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any

import redis

from ...jobs.belonging import is_home
from ...jobs.events import LoggedEvent
from ...jobs.leftovers import FileName, made_by, texts_of
from ...jobs.log import LogQuery
from ...jobs.model import Job, JobStatus
from ...jobs.transitions import TERMINAL
from ..base import Finished
from ..batches import Batch
from ..ledger import StoredKey
from ..line import Line, OfLine
from ..records import JobQuery
from .commits import LABEL_MAX_BYTES, asked_of, label
from .keys import Keys, id_of_key, key_of_id, key_of_stub
from .records import event_of, unpack_text
from .rows import BullmqRows

_CHUNK = 200
_BEFORE_ALL = 2**63 - 1
_LOOKED_AT = 1000


class ReaderRows(BullmqRows, OfLine):
    """See the module's docstring."""

    def __init__(self, client: redis.Redis, keys: Keys, line: Line) -> None:
        """``line``: the writer's."""
        super().__init__(client, keys)
        self._line = line

    def newest(self, query: JobQuery, before_seq: int | None, limit: int) -> list[Job]:
        """See ``ReadLedger``."""
        below = _BEFORE_ALL if before_seq is None else before_seq
        live = self._line.newest(below, limit, query.wants)
        walks = [self._walk(name, query, below) for name in self._indexes(query)]
        found: dict[str, Job] = {}
        for job in heapq.merge(live, *walks, key=lambda job: -job.seq):
            found.setdefault(job.id, job)
            if len(found) == limit:
                break
        return list(found.values())

    def maker(self, asset_id: str) -> Job | None:
        """See ``ReadLedger``."""
        key = self._client.hget(self._keys("makers"), asset_id)
        return None if key is None else self.job(id_of_key(key))

    def request_keys_of(self, job_ids: AbstractSet[str]) -> list[StoredKey]:
        """See ``ReadLedger``. Looks at every request key: for moving jobs elsewhere alone."""
        found: list[StoredKey] = []
        for field, plain in self._client.hscan_iter(self._keys("request"), count=1000):
            fingerprint, job_id, created_at_s = json.loads(plain)
            if job_id in job_ids:
                found.append(StoredKey(*asked_of(field), fingerprint, job_id, created_at_s))
        return found

    def ended_before(
        self, status: JobStatus, before_s: float, limit: int, spared: AbstractSet[str] = frozenset()
    ) -> list[Job]:
        """See ``ReadLedger``."""
        ended, until = self._keys.ended_in(status), f"({before_s!r}"

        def stubs(at: int, count: int) -> list[bytes]:
            return self._client.zrangebyscore(ended, "-inf", until, at, count)

        return self._first_but(stubs, limit, spared)

    def ended_beyond(
        self, status: JobStatus, count: int, limit: int, spared: AbstractSet[str] = frozenset()
    ) -> list[Job]:
        """See ``ReadLedger``."""
        ended = self._keys.ended_in(status)
        beyond = self._client.zcard(ended) - count

        def stubs(at: int, count: int) -> list[bytes]:
            until = min(beyond, at + count)
            return self._client.zrange(ended, at, until - 1) if at < until else []

        return self._first_but(stubs, limit, spared)

    def batch(self, batch_id: str) -> Batch | None:
        """See ``ReadLedger``."""
        fields = self._client.hgetall(self._keys(f"batch:{batch_id}"))
        if b"about" not in fields:
            return None
        principal, created_at_s, count, about = json.loads(fields[b"about"])
        statuses = self._line.in_batch(batch_id)
        for status in TERMINAL:
            ended = int(fields.get(f"in:{status.value}".encode("ascii"), 0))
            if ended:
                statuses[status] = ended
        return Batch(batch_id, principal, created_at_s, count, about, statuses)

    def named(
        self,
        outputs: AbstractSet[FileName],
        texts: AbstractSet[str],
        but: AbstractSet[str],
        after_seq: int,
        up_to_seq: int,
    ) -> tuple[frozenset[FileName], frozenset[str]]:
        """See ``ReadLedger``."""
        keys = self._client.zrangebyscore(self._keys("ended:all"), after_seq + 1, up_to_seq)
        live = self._line.newest(up_to_seq + 1, up_to_seq - after_seq, after_seq=after_seq)
        # One that cannot be read may name a file that is about to go: then nothing is said.
        chunks = (keys[at : at + _CHUNK] for at in range(0, len(keys), _CHUNK))
        ended = [kept.job for some in chunks for kept in self.kept([id_of_key(key) for key in some]).values()]
        jobs = [job for job in (*live, *ended) if job.id not in but]
        made = made_by(jobs)
        held: frozenset[str] = frozenset()
        if texts:
            payloads = self.payloads([job.id for job in jobs])
            held = frozenset(text for payload in payloads.values() for text in texts_of(payload.prompt_json)) & texts
        return made & outputs, held

    def finished(self, limit: int, home: str | None = None) -> list[Finished]:
        """See ``ReadLedger``. With ``home`` it may look at all that have a history: for a start alone."""
        jobs = self._shown_last(limit, home)
        payloads = self.payloads([job.id for job in jobs])
        histories: dict[str, bytes | None] = {}
        for at in range(0, len(jobs), _CHUNK):
            some = [job.id for job in jobs[at : at + _CHUNK]]
            histories |= zip(
                some, self._client.hmget(self._keys("history"), [key_of_id(one) for one in some]), strict=True
            )
        return [
            Finished(job, payloads[job.id], unpack_text(packed))
            for job in jobs
            if (packed := histories[job.id]) is not None and job.id in payloads
        ]

    def history(self, job_id: str) -> str | None:
        """See ``ReadLedger``."""
        packed = self._client.hget(self._keys("history"), key_of_id(job_id))
        return None if packed is None else unpack_text(packed)

    def events(self, query: LogQuery, limit: int) -> list[LoggedEvent]:
        """See ``ReadLedger``."""
        if query.job_id is not None:
            return self._events_of_job(query.job_id, query.after, limit)
        found: list[LoggedEvent] = []
        after = query.after
        while len(found) < limit:
            many = _LOOKED_AT if query.batch_id is not None or query.principal is not None else limit - len(found)
            entries = self._client.xrange(self._keys("events"), f"{after + 1}-0", "+", many)
            for position, fields in entries:
                after = int(position.partition(b"-")[0])
                if _told_of(fields, query):
                    found.append(event_of(after, id_of_key(fields[b"j"]), fields))
            if len(entries) < many:
                break
        return found[:limit]

    def forgotten_position(self) -> int:
        """See ``ReadLedger``."""
        return self.found().forgotten

    def _events_of_job(self, job_id: str, after: int, limit: int) -> list[LoggedEvent]:
        kept = self.kept((job_id,)).get(job_id)
        positions = [one for one in (() if kept is None else kept.positions) if one > after][:limit]
        pipe = self._client.pipeline(transaction=False)
        for position in positions:
            pipe.xrange(self._keys("events"), f"{position}-0", f"{position}-0")
        answers: list[Any] = pipe.execute() if positions else []
        return [
            event_of(position, job_id, entries[0][1])
            for position, entries in zip(positions, answers, strict=True)
            if entries
        ]

    def _indexes(self, query: JobQuery) -> list[str]:
        """The sorted sets of ended jobs that are walked for a query: together they hold all that it asks for."""
        keys, statuses = self._keys, [status for status in query.statuses if status in TERMINAL]
        if query.held or (query.statuses and not statuses):
            return []
        if query.batch_id is not None:
            return [keys.index("b", query.batch_id)]
        for name, value in query.labels:
            if len(name) + len(value) <= LABEL_MAX_BYTES:
                return [keys.index("l", label(name, value))]
        if query.causes:
            return [keys.index("c", cause.value) for cause in dict.fromkeys(query.causes)]
        if query.principal is not None:
            return [keys.index("p", query.principal)]
        return [keys.index("s", status.value) for status in dict.fromkeys(statuses)] or [keys("ended:all")]

    def _walk(self, name: str, query: JobQuery, below: int) -> Iterator[Job]:
        while keys := self._client.zrevrangebyscore(name, f"({below}", "-inf", 0, _CHUNK, withscores=True):
            below = int(keys[-1][1])
            yield from (job for job in self._jobs(key for key, _ in keys) if query.wants(job))
            if len(keys) < _CHUNK:
                return

    def _shown_last(self, limit: int, home: str | None) -> list[Job]:
        found, at = list[Job](), 0
        while len(found) < limit:
            many = limit if home is None else max(limit, _CHUNK)
            stubs: list[bytes] = self._client.zrevrange(self._keys("shown"), at, at + many - 1)
            found += [job for job in self._jobs(key_of_stub(stub) for stub in stubs) if is_home(job, home)]
            at += many
            if len(stubs) < many:
                break
        return found[: max(0, limit)][::-1]

    def _first_but(self, stubs: Callable[[int, int], list[bytes]], limit: int, spared: AbstractSet[str]) -> list[Job]:
        """The first ``limit`` jobs of an index that is read piece by piece, without those of the origins ``spared``."""
        found, at = list[Job](), 0
        while len(found) < limit:
            many = max(limit, _CHUNK) if spared else limit
            some = stubs(at, many)
            found += [job for job in self._jobs(key_of_stub(stub) for stub in some) if job.origin not in spared]
            at += many
            if len(some) < many:
                break
        return found[: max(0, limit)]

    def _jobs(self, keys: Iterable[Any]) -> list[Job]:
        """The jobs of these keys that are there still."""
        asked, found = iter(keys), list[Job]()
        while some := list(islice(asked, _CHUNK)):
            found += [kept.job for kept in self.kept_at(some) if kept is not None]
        return found


def _told_of(fields: dict[bytes, bytes], query: LogQuery) -> bool:
    if query.batch_id is not None:
        return fields[b"b"] == query.batch_id.encode("utf-8", "surrogatepass")
    return query.principal is None or fields[b"p"] == query.principal.encode("utf-8", "surrogatepass")
