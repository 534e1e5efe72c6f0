"""What a batch of verbs changed, as commands for Redis: records, indexes, counts, the log.

Owns which keys a change touches. Decides nothing and sends nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

from ...jobs.asset_ids import output_asset_id
from ...jobs.log import EVENTS_PER_JOB
from ...jobs.model import Job, NewBatch
from ...jobs.transitions import is_terminal
from ..changes import Changes
from ..ledger import StoredKey
from .keys import Keys, key_of_id, mark_of, stub_of
from .packing import text_packed
from .records import Kept, Pack, event_fields, pack_job, pack_payload, pack_text

Command = list[Any]
_POSITION = attrgetter("position")

EVENTS_KEPT = 200_000
"""The most events kept in all, or a little more."""

TRIM_EVERY = 100
"""After so many events it is looked whether they are too many."""

LABEL_MAX_BYTES = 256
"""A longer metadata text is not looked up by an index."""


class Commands:
    """Commands for one batch. ``before``: the jobs that it changed as they are stored, with what is kept of their events."""

    def __init__(
        self,
        keys: Keys,
        changes: Changes,
        before: Mapping[str, Kept],
        virtual_time: float,
        pack: Pack = text_packed,
        events_kept: int = EVENTS_KEPT,
    ) -> None:
        """Touch nothing. ``pack``: what the caller's thread packs with."""
        self._pack = pack
        self._events_kept = events_kept
        self._keys = keys
        self._changes = changes
        self._before = before
        self._virtual_time = virtual_time
        self._kept: dict[str, Kept] = {}
        self._short: dict[str, bytes] = {}

    def key(self, job_id: str) -> bytes:
        """A job's key, worked out once."""
        short = self._short.get(job_id)
        if short is None:
            short = self._short[job_id] = key_of_id(job_id)
        return short

    def head(self) -> list[Any]:
        """What changes in the queue's head, as fields and values."""
        changes, found = self._changes, list[Any]()
        if changes.virtual_time is not None:
            found += ["virtual_time", repr(changes.virtual_time)]
        if changes.paused is not None:
            found += ["paused", int(changes.paused)]
        return found

    def all(self) -> list[Command]:
        """Every command but for the head's, in order."""
        changes = self._changes
        found = self._of_standing()
        if changes.unwanted:
            found += self._of_unwanted()
        for job in changes.jobs.values():
            if job.id not in changes.pruned:
                found += self._of_job(job)
        for job_id, gone in changes.pruned.items():
            found.append(["ZADD", self._keys("pruned"), repr(gone.at_s), mark_of(job_id)])
            if job_id in self._before:
                found += self._of_pruned(self._before[job_id], gone.at_s)
        if changes.histories:
            found += self._of_histories()
        for (principal, key), stored in changes.keys.items():
            found += self._of_key(principal, key, stored)
        found += [self._of_batch(batch) for batch in changes.batches.values()]
        if changes.events:
            found += self._of_events()
        return found + self._of_forgetting()

    def kept(self, job: Job) -> Kept:
        """A changed job as it is stored then."""
        known = self._kept.get(job.id)
        if known is not None:
            return known
        before = self._before.get(job.id)
        told = self._changes.events.get(job.seq, [])
        positions = (() if before is None else before.positions) + tuple(event.position for event in told)
        number = told[-1].number if told else (0 if before is None else before.number)
        payload = self._changes.payloads.get(job.id)
        size_bytes = payload.size_bytes if payload is not None else (0 if before is None else before.size_bytes)
        later = () if before is None else before.later
        kept = self._kept[job.id] = Kept(job, positions[-EVENTS_PER_JOB:], number, size_bytes, later)
        return kept

    def _of_standing(self) -> list[Command]:
        tags, means = list[Any](), list[Any]()
        for (principal, level), finish in self._changes.tags.items():
            tags += (tag_field(principal, level), repr(finish))
        for signature, mean in self._changes.means.items():
            means += (_bytes(signature), json.dumps(mean))
        return [*self._many("tags", tags), *self._many("means", means)]

    def _many(self, name: str, pairs: list[Any]) -> list[Command]:
        """Fields and values of one hash, many at once."""
        return [["HSET", self._keys(name), *pairs[at : at + 1000]] for at in range(0, len(pairs), 1000)]

    def _of_unwanted(self) -> Iterator[Command]:
        for job_ids in self._changes.unwanted:
            if job_ids is None:
                yield ["DEL", self._keys("history"), self._keys("shown")]
            for job_id in job_ids or ():
                kept = self._before.get(job_id)
                if kept is not None:
                    yield from self._of_history(kept.job, None)

    def _of_forgetting(self) -> list[Command]:
        gone, names = self._changes.forgetting, ("request", "requested", "pruned", "means", "tags")
        if gone is None:
            return []
        bounds = (repr(gone.keys_before_s), repr(gone.pruned_before_s), gone.means_max, repr(self._virtual_time))
        return [["FORGET", *(self._keys(name) for name in names), *bounds]]

    def _of_job(self, job: Job) -> Iterator[Command]:
        keys, key, before = self._keys, self.key(job.id), self._before.get(job.id)
        kept, ended = self.kept(job), is_terminal(job.status)
        had = None if before is None else before.job
        yield ["HSET", keys("ended" if ended else "live"), key, pack_job(kept, self._pack)]
        if had is not None and is_terminal(had.status) != ended:
            yield ["HDEL", keys("live" if ended else "ended"), key]
        payload = self._changes.payloads.get(job.id)
        if payload is not None:
            yield ["HSET", keys("payload"), key, pack_payload(payload)]
        if had is not None and is_terminal(had.status):
            yield from _struck(self._indexes(had))
            yield from self._counted(had, -1)
        if ended:
            yield from (["ZADD", name, score, member] for name, score, member in self._indexes(job))
            yield from self._counted(job, 1)
        if before is None and job.slot is not None:
            yield ["HINCRBY", keys(f"batch:{job.slot.batch_id}"), "left", 1]
        if job.outputs and (had is None or had.outputs != job.outputs):
            yield from self._many("makers", [it for one in job.outputs for it in (output_asset_id(job.id, one), key)])
        yield from self._of_too_many(job, before, kept)

    def _of_events(self) -> Iterator[Command]:
        told = [event for events in self._changes.events.values() for event in events]
        told.sort(key=_POSITION)
        name, last = self._keys("events"), told[-1].position
        for event in told:
            if event.job.id not in self._changes.pruned:
                yield ["XADD", name, f"{event.position}-0", *event_fields(event, self.key(event.job.id), self._pack)]
        if last // TRIM_EVERY > (last - len(told)) // TRIM_EVERY:
            yield ["TRIM", self._keys("meta"), name, self._events_kept]

    def _of_too_many(self, job: Job, before: Kept | None, kept: Kept) -> Iterator[Command]:
        dropped = 0 if before is None else len(before.positions)
        dropped += len(self._changes.events.get(job.seq, ())) - len(kept.positions)
        if dropped > 0:
            everything = (() if before is None else before.positions) + tuple(
                event.position for event in self._changes.events.get(job.seq, ())
            )
            yield from self._forgotten(everything[:dropped])

    def _of_pruned(self, kept: Kept, at_s: float) -> Iterator[Command]:
        keys, job, key = self._keys, kept.job, self.key(kept.job.id)
        yield from (["HDEL", keys(name), key] for name in ("live", "ended", "payload", "history"))
        yield ["ZREM", keys("shown"), stub_of(job, key)]
        yield from _struck(self._indexes(job))
        yield from (["HDEL", keys("makers"), output_asset_id(job.id, output)] for output in job.outputs)
        yield from self._forgotten(kept.positions)
        yield from self._counted(job, -1)
        if job.slot is not None:
            batch_id = job.slot.batch_id
            yield ["LEFT", keys(f"batch:{batch_id}"), keys("pruned"), repr(at_s), mark_of(batch_id)]

    def _forgotten(self, positions: Sequence[int]) -> Iterator[Command]:
        for at in range(0, len(positions), 1000):
            yield [
                "STRIKE",
                self._keys("meta"),
                self._keys("events"),
                *(f"{one}-0" for one in positions[at : at + 1000]),
            ]

    def _counted(self, job: Job, by: int) -> Iterator[Command]:
        if job.slot is not None:
            yield ["HINCRBY", self._keys(f"batch:{job.slot.batch_id}"), f"in:{job.status.value}", by]

    def _of_histories(self) -> Iterator[Command]:
        changes = self._changes
        by_seq = {job.seq: job for job in changes.jobs.values()}
        for seq, history in changes.histories.items():
            if by_seq[seq].id not in changes.pruned:
                yield from self._of_history(by_seq[seq], history)

    def _of_history(self, job: Job, history: str | None) -> Iterator[Command]:
        keys, key = self._keys, self.key(job.id)
        if history is None:
            yield ["HDEL", keys("history"), key]
            yield ["ZREM", keys("shown"), stub_of(job, key)]
        else:
            yield ["HSET", keys("history"), key, pack_text(history)]
            yield ["ZADD", keys("shown"), repr(job.finished_at_s), stub_of(job, key)]

    def _of_key(self, principal: str, key: str, stored: StoredKey) -> Iterator[Command]:
        field = request_field(principal, key)
        plain = json.dumps([stored.fingerprint, stored.job_id, stored.created_at_s])
        yield ["HSET", self._keys("request"), field, plain]
        yield ["ZADD", self._keys("requested"), repr(stored.created_at_s), field]

    def _of_batch(self, batch: NewBatch) -> Command:
        plain = json.dumps([batch.principal, batch.created_at_s, batch.count, batch.about])
        return ["HSET", self._keys(f"batch:{batch.id}"), "about", plain]

    def _indexes(self, job: Job) -> Iterator[tuple[str, str, bytes]]:
        """The sorted sets in which an ended job stands: name, score, member."""
        keys, key, seq = self._keys, self.key(job.id), str(job.seq)
        yield keys("ended:all"), seq, key
        yield keys.ended_in(job.status), repr(job.finished_at_s), stub_of(job, key)
        yield keys.index("s", job.status.value), seq, key
        yield keys.index("p", job.principal.name), seq, key
        if job.cause is not None:
            yield keys.index("c", job.cause.value), seq, key
        if job.slot is not None:
            yield keys.index("b", job.slot.batch_id), seq, key
        for name, value in job.metadata.items():
            if isinstance(value, str) and len(name) + len(value) <= LABEL_MAX_BYTES:
                yield keys.index("l", label(name, value)), seq, key


def label(name: str, value: str) -> str:
    """How a label is looked up."""
    return f"{name}\0{value}"


def tag_field(principal: str, level: int) -> bytes:
    """Where a finish tag stands."""
    return f"{level}:".encode("ascii") + _bytes(principal)


def request_field(principal: str, key: str) -> bytes:
    """Where a request key stands."""
    return _bytes(f"{len(principal)}:{principal}{key}")


def asked_of(field: bytes) -> tuple[str, str]:
    """Whose request key stands there, and the key."""
    length, _, rest = field.decode("utf-8", "surrogatepass").partition(":")
    return rest[: int(length)], rest[int(length) :]


def _struck(indexes: Iterator[tuple[str, str, bytes]]) -> Iterator[Command]:
    return (["ZREM", name, member] for name, _, member in indexes)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
