"""Between rows and records: how a job, its attempts and its JSON columns are written and read.

Owns the column format alone. Text that UTF-8 cannot hold (half a surrogate pair, as JSON can spell one) is escaped:
inside the JSON columns without loss, in ``last_node_id`` for people to read.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

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

Values = tuple[Any, ...]

_OUTPUT_FIELDS = tuple(field.name for field in fields(Output))
_ERROR_FIELDS = tuple(field.name for field in fields(JobError))


def job_values(job: Job) -> Values:
    """The columns of ``jobs``, in their order; attempts left out."""
    return (
        job.seq,
        job.id,
        job.principal.name,
        job.principal.trusted,
        job.priority,
        job.source.value,
        job.status.value,
        job.created_at_s,
        job.queued_at_s,
        job.number,
        job.start_tag,
        job.score,
        job.estimated_s,
        job.signature,
        job.client_id,
        json.dumps(job.metadata) if job.metadata else "{}",
        job.node_count,
        job.prompt_length,
        job.needs_secret,
        job.held,
        job.cached,
        job.started_at_s,
        job.finished_at_s,
        json.dumps([_plain(output, _OUTPUT_FIELDS) for output in job.outputs]) if job.outputs else "[]",
        _word(job.cause),
        None if job.error is None else json.dumps(_plain(job.error, _ERROR_FIELDS)),
        job.not_before_s,
        job.expires_at_s,
        job.max_attempts,
        json.dumps(job.models) if job.models else "[]",
        job.forgiven,
        None if job.slot is None else job.slot.batch_id,
        None if job.slot is None else job.slot.index,
        None if job.webhook is None else json.dumps([job.webhook.url, *job.webhook.events]),
        job.pool,
        job.origin,
        None if job.parked is None else json.dumps(parked_json(job.parked)),
    )


def job_of(row: sqlite3.Row, attempts: Iterable[sqlite3.Row]) -> Job:
    """The job of a row of ``jobs`` and its rows of ``attempts`` by number."""
    return Job(
        id=row["id"],
        principal=Principal(row["principal"], bool(row["trusted"])),
        priority=row["priority"],
        source=Source(row["source"]),
        status=JobStatus(row["status"]),
        created_at_s=row["created_at_s"],
        queued_at_s=row["queued_at_s"],
        number=row["number"],
        seq=row["seq"],
        start_tag=row["start_tag"],
        score=row["score"],
        estimated_s=row["estimated_s"],
        signature=row["signature"],
        client_id=row["client_id"],
        metadata=json.loads(row["metadata"]),
        node_count=row["node_count"],
        prompt_length=row["prompt_length"],
        needs_secret=bool(row["needs_secret"]),
        held=bool(row["held"]),
        cached=bool(row["cached"]),
        started_at_s=row["started_at_s"],
        finished_at_s=row["finished_at_s"],
        attempts=tuple(_attempt_of(attempt) for attempt in attempts),
        outputs=tuple(Output(**output) for output in json.loads(row["outputs"])),
        cause=_cause(row["cause"]),
        error=None if row["error"] is None else JobError(**json.loads(row["error"])),
        not_before_s=row["not_before_s"],
        expires_at_s=row["expires_at_s"],
        max_attempts=row["max_attempts"],
        models=tuple(json.loads(row["models"])),
        forgiven=row["forgiven"],
        slot=None if row["batch_id"] is None else BatchSlot(row["batch_id"], row["batch_index"]),
        webhook=None if row["webhook"] is None else _webhook_of(json.loads(row["webhook"])),
        pool=row["pool"],
        origin=row["origin"],
        parked=None if row["parked"] is None else parked_of(json.loads(row["parked"])),
    )


def payload_values(payload: Payload) -> Values:
    """The columns of ``payloads`` after ``job_seq``."""
    return (payload.prompt_json, payload.extra_json, payload.outputs_json)


def attempt_values(seq: int, attempt: Attempt) -> Values:
    """The columns of ``attempts``, in their order."""
    return (
        seq,
        attempt.number,
        attempt.started_at_s,
        attempt.boot_id,
        attempt.finished_at_s,
        _word(attempt.outcome),
        _word(attempt.cause),
        storable(attempt.last_node_id),
        None if attempt.message is None else json.dumps(attempt.message),
        attempt.parked_s,
    )


def event_values(event: JobEvent) -> Values:
    """The columns of ``events``, in their order."""
    told = event.logged()
    facts = json.dumps(told.facts)
    return (told.position, event.job.seq, told.number, told.type, told.at_s, told.principal, told.batch_id, facts)


def event_of(row: sqlite3.Row) -> LoggedEvent:
    """The event of a row of ``events`` with its job's id."""
    return LoggedEvent(
        position=row["position"],
        number=row["number"],
        type=row["type"],
        at_s=row["at_s"],
        job_id=row["job_id"],
        principal=row["principal"],
        batch_id=row["batch_id"],
        facts=json.loads(row["facts"]),
    )


def storable(text: str | None) -> str | None:
    """Text that UTF-8 can hold; in JSON text the escapes say the same as what they stand for."""
    return text if text is None or text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def mark_of(job_id: str) -> int:
    """What is remembered of a pruned job's id: 64 bits of a digest, a number as SQLite's."""
    digest = hashlib.blake2b(job_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _webhook_of(texts: list[str]) -> WebhookTarget:
    return WebhookTarget(texts[0], tuple(texts[1:]))


def _attempt_of(row: sqlite3.Row) -> Attempt:
    return Attempt(
        number=row["number"],
        started_at_s=row["started_at_s"],
        boot_id=row["boot_id"],
        finished_at_s=row["finished_at_s"],
        outcome=None if row["outcome"] is None else JobStatus(row["outcome"]),
        cause=_cause(row["cause"]),
        last_node_id=row["last_node_id"],
        message=None if row["message"] is None else json.loads(row["message"]),
        parked_s=row["parked_s"],
    )


def _plain(record: Output | JobError, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}


def _word(word: JobStatus | Cause | None) -> str | None:
    return None if word is None else word.value


def _cause(word: str | None) -> Cause | None:
    return None if word is None else Cause(word)
