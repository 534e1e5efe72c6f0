"""How jobs, payloads and events are written in Redis: msgpack; long records compressed with a dictionary of what always comes again.

Owns the formats alone; the first byte names the format, so that a later one can be told apart. What a version adds to a record goes to its
end: one that does not know it passes it on. What people and nodes may put into a record (metadata, questions, outputs) is kept as JSON
text within it: msgpack knows no numbers beyond 64 bits.
"""

from __future__ import annotations

import json
import logging
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from ...jobs.errors import StoreUnavailable
from ...jobs.events import JobEvent, LoggedEvent
from ...jobs.model import (
    Attempt,
    BatchSlot,
    Cause,
    Job,
    JobError,
    JobStatus,
    Output,
    Payload,
    Principal,
    Source,
    WebhookTarget,
)
from ..plain import parked_json, parked_of
from .packing import text_packed, text_unpacked

Pack = Callable[[Any], bytes]
_JSON = json.JSONEncoder(separators=(",", ":")).encode
_ATTEMPT, _OUTPUT, _ERROR, _SLOT, _WEBHOOK = (
    attrgetter(*(field.name for field in fields(kind)))
    for kind in (Attempt, Output, JobError, BatchSlot, WebhookTarget)
)
_PLAIN, _COMPRESSED, _SQUEEZED = b"0", b"1", b"2"
_PLAIN_MAX_BYTES = 600  # less is hardly worth the work
_RECORD_MAX_BYTES = (
    200  # as most records of waiting jobs are: working them out takes longer than sending what they could be shorter
)
_LEVEL = 2  # a tenth larger than at the usual level, in less than half the time
_LENGTHS = struct.Struct(">II")
_OUTPUT_FIELDS = frozenset(field.name for field in fields(Output))
_OF_OUTPUT, _OF_ERROR = len(fields(Output)), len(fields(JobError))
_SOURCES, _STATUSES = {one.value: one for one in Source}, {one.value: one for one in JobStatus}
_FACTS = ("status", "priority", "attempt", "cause", "held")
_USUAL = itemgetter(*_FACTS)
# Never change it: what is stored can be read only with it.
_DICTIONARY = (
    b"\xacPROCESS_DIED\xaaLEASE_LOST\xabINTERRUPTED\xadOUT_OF_MEMORY\xaaNODE_ERROR\xa8CANCELED\xa7EXPIRED\xa9canceling\xa8canceled"
    b"\xa7expired\xa6failed\xa7running\xa7waiting\xa8retrying\x98\xac.safetensors\xaain_process\xa5batch\xa2v2\xa6prompt\xa6submit"
    b"\xa6queued\xa9succeeded\xc0\xc0\xc0\xc0\xc0\x91\x98\xa19\xb2ComfyUI_00001_.png\xa0\xa6output\xa5image\xa9image/png\xcd\xc2"
    b"\xc0\xc0\xc0\xc0\xc0\x03\x90\x00\xc0\xc0\xa7default\xc0\x93\xcd"
)

_LATER = "A record of the shared queue has the form of a later version: this instance must be brought up to it."

_log = logging.getLogger("expeditor.store")


class Kept(NamedTuple):
    """A job as it is stored: with the positions of its events that are kept, oldest first, the number of the last one, and the bytes
    of its payload as the queue's limits count them. ``later``: what members of a later version add, kept as it is."""

    job: Job
    positions: tuple[int, ...] = ()
    number: int = 0
    size_bytes: int = 0
    later: tuple[Any, ...] = ()


def pack_job(kept: Kept, pack: Pack = text_packed) -> bytes:
    """A job without its id, which is its key. ``pack``: what the caller's thread packs with."""
    job = kept.job
    plain = (
        job.seq,
        job.principal.name,
        int(job.principal.trusted),
        job.priority,
        job.source,
        job.status,
        job.created_at_s,
        job.queued_at_s,
        job.number,
        job.start_tag,
        job.score,
        job.estimated_s,
        job.signature,
        job.client_id,
        _JSON(job.metadata) if job.metadata else None,
        job.node_count,
        job.prompt_length,
        job.needs_secret + 2 * job.held + 4 * job.cached,
        job.started_at_s,
        job.finished_at_s,
        [_ATTEMPT(attempt) for attempt in job.attempts],
        [_OUTPUT(output) for output in job.outputs],
        job.cause,
        None if job.error is None else _ERROR(job.error),
        job.not_before_s,
        job.expires_at_s,
        job.max_attempts,
        job.models,
        job.forgiven,
        None if job.slot is None else _SLOT(job.slot),
        None if job.webhook is None else _WEBHOOK(job.webhook),
        job.pool,
        job.origin,
        kept.positions,
        kept.number,
        kept.size_bytes,
        None if job.parked is None else _JSON(parked_json(job.parked)),
        *kept.later,
    )
    packed = pack(plain)
    return _PLAIN + packed if len(packed) <= _RECORD_MAX_BYTES else _squeezed(packed)


def unpack_job(job_id: str, packed: bytes) -> Kept:
    """The job again. ``StoreUnavailable`` when this version cannot read it."""
    try:
        return _unpacked_job(job_id, packed)
    except (ValueError, TypeError, LookupError, zlib.error) as fault:
        raise StoreUnavailable(_LATER) from fault


def readable(found: Iterable[tuple[str, bytes | None]]) -> list[Kept | None]:
    """The jobs of a list again; None also for those that this version cannot read, so that they do not hide the others."""
    jobs: list[Kept | None] = []
    left_out: list[str] = []
    for job_id, packed in found:
        try:
            jobs.append(None if packed is None else unpack_job(job_id, packed))
        except StoreUnavailable:
            jobs.append(None)
            left_out.append(job_id)
    if left_out:
        extra = {"event": "record.unreadable", "job_id": left_out[0]}
        _log.warning("%s Left out are %d jobs, the first is %s", _LATER, len(left_out), left_out[0], extra=extra)
    return jobs


def _unpacked_job(job_id: str, packed: bytes) -> Kept:
    (
        seq, name, trusted, priority, source, status, created_at_s, queued_at_s, number, start_tag, score, estimated_s, signature,
        client_id, metadata, node_count, prompt_length, flags, started_at_s, finished_at_s, attempts, outputs, cause, error,
        not_before_s, expires_at_s, max_attempts, models, forgiven, slot, webhook, pool, origin, positions, told, size_bytes,
        *later,
    ) = text_unpacked(_unsqueezed(packed))  # fmt: skip
    job = Job(
        id=job_id,
        principal=Principal(name, bool(trusted)),
        priority=priority,
        source=_SOURCES[source],
        status=_STATUSES[status],
        created_at_s=created_at_s,
        queued_at_s=queued_at_s,
        number=number,
        seq=seq,
        start_tag=start_tag,
        score=score,
        estimated_s=estimated_s,
        signature=signature,
        client_id=client_id,
        metadata={} if metadata is None else json.loads(metadata),
        node_count=node_count,
        prompt_length=prompt_length,
        needs_secret=bool(flags & 1),
        held=bool(flags & 2),
        cached=bool(flags & 4),
        started_at_s=started_at_s,
        finished_at_s=finished_at_s,
        attempts=tuple(_attempt_of(values) for values in attempts),
        outputs=tuple(Output(*values[:_OF_OUTPUT]) for values in outputs),
        cause=_cause(cause),
        error=None if error is None else JobError(*error[:_OF_ERROR]),
        not_before_s=not_before_s,
        expires_at_s=expires_at_s,
        max_attempts=max_attempts,
        models=tuple(models),
        forgiven=forgiven,
        slot=None if slot is None else BatchSlot(*slot),
        webhook=None if webhook is None else WebhookTarget(webhook[0], tuple(webhook[1])),
        pool=pool,
        origin=origin,
        parked=parked_of(json.loads(later[0])) if later and later[0] is not None else None,
    )
    return Kept(job, tuple(positions), told, size_bytes, tuple(later[1:]))


def pack_payload(payload: Payload) -> bytes:
    """What a job runs, compressed in one piece."""
    parts = [_bytes(text) for text in (payload.prompt_json, payload.extra_json, payload.outputs_json)]
    plain = _LENGTHS.pack(len(parts[0]), len(parts[1])) + b"".join(parts)
    return _PLAIN + plain if len(plain) <= _PLAIN_MAX_BYTES else _COMPRESSED + zlib.compress(plain, 1)


def unpack_payload(packed: bytes) -> Payload:
    """The payload again."""
    plain = packed[1:] if packed.startswith(_PLAIN) else zlib.decompress(packed[1:])
    first, second = _LENGTHS.unpack_from(plain)
    at = _LENGTHS.size
    bounds = ((at, at + first), (at + first, at + first + second), (at + first + second, len(plain)))
    return Payload(*(plain[start:end].decode("utf-8", "surrogatepass") for start, end in bounds))


def pack_text(text: str) -> bytes:
    """A long text."""
    return zlib.compress(_bytes(text)) if text else b""


def unpack_text(packed: bytes) -> str:
    """The text again."""
    return zlib.decompress(packed).decode("utf-8", "surrogatepass") if packed else ""


def event_fields(event: JobEvent, key: bytes, pack: Pack = text_packed) -> tuple[bytes | str, ...]:
    """An event as the fields of a stream's entry: its job, principal and batch can be looked for, the rest is packed by ``pack``."""
    told = event.logged()
    facts = told.facts
    plain: list[Any] = [told.type.removeprefix("job."), told.number, told.at_s, *_USUAL(facts)]
    if len(facts) > len(_FACTS):
        plain.append(_JSON({name: value for name, value in facts.items() if name not in _FACTS}))
    return ("j", key, "p", _bytes(told.principal), "b", _bytes(told.batch_id or ""), "e", pack(plain))


def event_of(position: int, job_id: str, fields: Mapping[bytes, bytes]) -> LoggedEvent:
    """The event of an entry."""
    name, number, at_s, *rest = text_unpacked(fields[b"e"])
    facts: dict[str, Any] = dict(zip(_FACTS, rest, strict=False))
    if len(rest) > len(_FACTS):
        facts |= json.loads(rest[len(_FACTS)])
    batch_id = fields[b"b"].decode("utf-8", "surrogatepass") or None
    principal = fields[b"p"].decode("utf-8", "surrogatepass")
    return LoggedEvent(position, number, f"job.{name}", at_s, job_id, principal, batch_id, facts)


def live_event(logged: LoggedEvent, job: Job) -> JobEvent:
    """An event of the log as it is told, with the job as it stands now; without a cause that only a later version knows."""
    cause, output = logged.facts.get("cause"), logged.facts.get("output")
    produced = None
    if output is not None:
        plain: dict[str, Any] = dict(output)
        kind = plain.pop("type")
        produced = Output(**{name: value for name, value in plain.items() if name in _OUTPUT_FIELDS}, kind=kind)
    return JobEvent(
        logged.type,
        job,
        logged.at_s,
        Cause(cause) if cause in set(Cause) else None,
        produced,
        logged.position,
        logged.number,
    )


def _squeezed(plain: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15, 8, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY)
    return _SQUEEZED + packer.compress(plain) + packer.flush()


def _unsqueezed(packed: bytes) -> bytes:
    if packed.startswith(_PLAIN):
        return packed[1:]
    if not packed.startswith(_SQUEEZED):
        raise StoreUnavailable(_LATER)
    return zlib.decompressobj(-15, _DICTIONARY).decompress(packed[1:])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _attempt_of(values: list[Any]) -> Attempt:
    number, started_at_s, boot_id, finished_at_s, outcome, cause, last_node_id, message, *later = values
    outcome = None if outcome is None else JobStatus(outcome)
    parked_s = later[0] if later else 0.0
    return Attempt(
        number, started_at_s, boot_id, finished_at_s, outcome, _cause(cause), last_node_id, message, parked_s
    )


def _cause(word: str | None) -> Cause | None:
    return None if word is None else Cause(word)
