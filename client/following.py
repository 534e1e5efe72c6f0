"""How a job's life is followed until its end: the event stream with reconnects where there is one, else asking again and again.

Owns the choice between the two and what a lost stream costs: nothing, as it goes on behind the last event that was heard. Writes
nothing to the terminal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from httpx_sse import EventSource

from .api import POLL_S, Expeditor
from .connect import Server
from .faults import Busy, NotHere, Refused
from .records import Event, Job, JsonObject
from .transport import LONGEST_WAIT_S, Lost, Tell, Transport

LAST_SEEN = "Last-Event-ID"
_NO_PREVIEWS = ",".join(
    f"job.{word}"
    for word in "queued started waiting retrying canceling succeeded failed canceled expired output held released progress".split()
)


def follow(server: Server, job_id: str, tell: Tell, poll_s: float = POLL_S) -> Iterator[Job]:
    """The job now and whenever something about it has changed; the last one has ended. Bears restarts of the server."""
    job = server.job(job_id)
    yield job
    if job.ended:
        return
    if isinstance(server, Expeditor):
        try:
            yield from _by_events(server, job, tell)
            return
        except NotHere:
            pass  # a server without the stream
    yield from _by_asking(server, job, poll_s)


def happenings(
    server: Expeditor, tell: Tell, job_id: str | None = None, after: str | None = None, types: str | None = None
) -> Iterator[Event]:
    """Everything that happens from now on (or after a cursor), across lost connections: each kept event once, in order.

    One job's stream begins with its first event and ends behind its end; the one of all jobs never does. ``types``: only these,
    with commas. Raises ``NotHere`` on a server without the stream.
    """
    path = f"/expeditor/jobs/{quote(job_id, safe='')}/events" if job_id else "/expeditor/events"
    params = {"types": types} if types else {}
    failures, cursor = 0, after
    while True:
        try:
            for event in _stream(server.transport, path, params, cursor):
                failures = 0
                cursor = event.cursor or cursor
                if event.type:
                    yield event
            if job_id and server.job(job_id).ended:
                return
            tell("the stream of events has ended; going on behind the last one")
        except Busy as busy:
            tell(f"{busy.status} {busy.code}; asking again in {busy.retry_after_s:.0f} s")
            server.transport.wait(busy.retry_after_s)
            continue
        except Lost as lost:
            tell(f"{lost}; going on behind the last event as soon as it answers")
        server.transport.wait(min(0.5 * 2.0**failures, LONGEST_WAIT_S))
        failures += 1
        server.health()  # with the transport's patience: raises once that is over


def _by_events(server: Expeditor, job: Job, tell: Tell) -> Iterator[Job]:
    for event in happenings(server, tell, job.id, types=_NO_PREVIEWS):
        job = _progressed(job, event.told) if event.type == "job.progress" else server.job(job.id)
        yield job
        if job.ended:
            return


def _by_asking(server: Server, job: Job, poll_s: float) -> Iterator[Job]:
    while not job.ended:
        server.transport.wait(poll_s)
        seen, job = job, server.job(job.id)
        if job != seen:
            yield job


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at many jobs found: those that have not ended, by id."""

    unfinished: Mapping[str, Job]


def look(server: Server, label: Mapping[str, str]) -> Look:
    """The unfinished jobs that carry these labels (of stock ComfyUI: all)."""
    if isinstance(server, Expeditor):
        filters = {f"metadata.{key}": value for key, value in label.items()}
        jobs = server.jobs(status="queued,running,waiting,retrying,canceling", **filters)
    else:
        jobs = server.jobs(status="queued,running")
    return Look({job.id: job for job in jobs})


def _progressed(job: Job, told: Mapping[str, Any]) -> Job:
    progress: Mapping[str, Any] = told.get("progress") or told
    if "value" not in progress:
        return job
    wire = {**job.wire, "status": "running", "progress": dict(progress), "position": None}
    return Job.of(wire)


def _stream(transport: Transport, path: str, params: Mapping[str, str], cursor: str | None) -> Iterator[Event]:
    """One connection's events; one without a type only tells the cursor. Ends when the server has no more to tell."""
    headers = {"Accept": "text/event-stream", **({LAST_SEEN: cursor} if cursor else {})}
    # No byte for so long means a dead connection: the server sends a heartbeat more often.
    silence = httpx.Timeout(45.0, connect=5.0)
    try:
        with transport.stream(path, params=params, headers=headers, timeout=silence) as answer:
            if answer.status_code == 204:
                return
            if "text/event-stream" not in answer.headers.get("Content-Type", ""):
                raise NotHere(f"{transport.url}{path} is no stream of events.")
            for event in EventSource(answer).iter_sse():
                told: JsonObject = json.loads(event.data) if event.data else {}
                yield Event(event.event if event.data else "", event.id or None, told)
    except Refused as refused:
        if isinstance(refused, Busy) or refused.code == refused.code.upper():
            raise  # Expeditor's own word; a missing route has only the reason phrase
        raise NotHere(f"{transport.url} has no stream of events ({refused.status}).") from refused
