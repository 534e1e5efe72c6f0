"""Streams of events over HTTP: what is told, from where, until when, and how they end."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from expeditor.jobs.cursors import cursor_of, position_of
from expeditor.jobs.log import LogQuery
from expeditor.jobs.model import BatchSlot, Cause, JobStatus
from expeditor.store.base import Reprioritise
from tests.conformance.harness import IMAGE, claim, done, ending, enqueue
from tests.support.waiting import wait_until_async

A, B = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


class Frames:
    """A reader of one response, by the rules of the standard, as far as we use them."""

    def __init__(self, response) -> None:
        self.response = response
        self.comments = 0
        self.last_id = ""

    async def next(self):
        """The next event as (type, id, fields); None at the end."""
        fields: dict[str, str] = {}
        while True:
            line = (await asyncio.wait_for(self.response.content.readline(), 20)).decode()
            if not line:
                return None
            name, _, value = line.rstrip("\n").partition(": ")
            if name.startswith(":"):
                self.comments += 1
            elif name:
                fields[name] = value
            elif fields:
                self.last_id = fields.get("id", self.last_id)
                if "data" in fields:
                    return fields["event"], fields.get("id"), json.loads(fields["data"])
                fields = {}

    async def types(self, count=None):
        found = []
        while (count is None or len(found) < count) and (told := await self.next()) is not None:
            found.append(told[0])
        return found


async def follow(http, path, **kwargs) -> Frames:
    response = await http.get(path, **kwargs)
    assert response.status == 200, await response.text()
    return Frames(response)


def run(edge, job_id=A, end=JobStatus.SUCCEEDED, **fields):
    claimed = claim(edge.store)
    assert claimed.job.id == job_id
    done(edge.store.finish(job_id, claimed.attempt, ending(end, outputs=(IMAGE,), **fields)))


async def test_a_job_is_told_from_its_first_event_to_its_end(edge, http):
    enqueue(edge.store, A)
    frames = await follow(http, f"/expeditor/jobs/{A}/events")
    assert frames.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert frames.response.headers["Cache-Control"] == "no-cache"
    assert frames.response.headers["X-Accel-Buffering"] == "no"
    assert frames.response.headers["X-More"] == "yes"
    kind, cursor, fields = await frames.next()
    assert (kind, cursor) == ("job.queued", fields["cursor"])
    assert fields == {
        "type": "job.queued",
        "job_id": A,
        "number": 1,
        "at": "2023-11-14T22:13:20.000Z",
        "cursor": cursor_of(1),
        "batch_id": None,
        "status": "queued",
        "priority": 3,
        "attempt": 0,
        "cause": None,
        "held": False,
    }
    run(edge)
    assert await frames.types() == ["job.started", "job.output", "job.succeeded"]
    await wait_until_async(lambda: edge.streams.count() == 0)


async def test_who_comes_back_goes_on_where_it_was(edge, http):
    enqueue(edge.store, A)
    run(edge)
    first = await follow(http, f"/expeditor/jobs/{A}/events")
    ids = [(await first.next())[1] for _ in range(4)]
    for at, cursor in enumerate(ids[:-1]):
        by_header = await follow(http, f"/expeditor/jobs/{A}/events", headers={"Last-Event-ID": cursor})
        by_query = await follow(http, f"/expeditor/jobs/{A}/events", params={"after": cursor})
        assert [(await by_header.next())[1] for _ in ids[at + 1 :]] == ids[at + 1 :]
        assert (await by_query.types())[0] == ["job.started", "job.output", "job.succeeded"][at]


async def test_after_the_end_there_is_nothing_to_come_back_for(edge, http):
    enqueue(edge.store, A)
    run(edge)
    last = done(edge.store.last_position())
    over = await http.get(f"/expeditor/jobs/{A}/events", headers={"Last-Event-ID": cursor_of(last)})
    assert over.status == 204
    assert (await follow(http, f"/expeditor/jobs/{A}/events")).response.status == 200


async def test_a_job_that_was_put_back_has_not_ended(edge, http):
    enqueue(edge.store, A)
    run(edge, end=JobStatus.FAILED, cause=Cause.NODE_ERROR)
    done(edge.store.redrive(A))
    frames = await follow(http, f"/expeditor/jobs/{A}/events")
    assert (await frames.types(5))[-1] == "job.queued"
    run(edge)
    assert (await frames.types())[-1] == "job.succeeded"


async def test_all_are_told_from_now_on_and_where_to_go_on_before_anything_happens(edge, http):
    enqueue(edge.store, A)
    frames = await follow(http, "/expeditor/events")
    await wait_until_async(lambda: edge.streams.count() == 1)
    run(edge)
    assert await frames.types(3) == ["job.started", "job.output", "job.succeeded"]
    idle = await follow(http, "/expeditor/events")
    assert await idle.response.content.readline() == b"retry: 2000\n"
    line = (await idle.response.content.readline()).decode()
    assert position_of(line.removeprefix("id: ").strip()) == done(edge.store.last_position())


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"principal": "bob"}, [(B, "job.queued")]),
        ({"batch": "b1"}, [(B, "job.queued")]),
        ({"batch": "b1", "principal": "ada"}, []),
        ({"types": "job.held,job.canceled"}, [(A, "job.held"), (A, "job.canceled")]),
    ],
)
async def test_filters(edge, http, params, told):
    start = cursor_of(0)
    enqueue(edge.store, A)
    enqueue(edge.store, B, 3, "bob", slot=BatchSlot("b1", 0))
    done(edge.store.hold(A, held=True))
    done(edge.store.cancel(A))
    frames = await follow(http, "/expeditor/events", params={**params, "after": start})
    for job_id, kind in told:
        event = await frames.next()
        assert (event[2]["job_id"], event[0]) == (job_id, kind)
    await wait_until_async(lambda: _comments(frames), what="silence")


async def _comments(frames) -> bool:
    line = await asyncio.wait_for(frames.response.content.readline(), 20)
    assert not line.startswith((b"data", b"event")), line
    return line == b":\n"


async def test_progress_is_told_and_has_no_id(edge, http):
    enqueue(edge.store, A)
    frames = await follow(http, f"/expeditor/jobs/{A}/events")
    claim(edge.store)
    assert await frames.types(2) == ["job.queued", "job.started"]
    edge.hub.pass_on(edge.passing("job.progress", A, {"progress": {"value": 0.5}}))
    kind, cursor, fields = await frames.next()
    assert (kind, cursor, fields["progress"], fields["job_id"]) == ("job.progress", None, {"value": 0.5}, A)


async def test_an_unknown_job_and_a_pruned_one_have_no_stream(edge, http):
    unknown = await http.get(f"/expeditor/jobs/{A}/events")
    assert (unknown.status, (await unknown.json())["error"]["code"]) == (404, "NOT_FOUND")
    enqueue(edge.store, A)
    run(edge)
    done(edge.store.prune([A]))
    pruned = await http.get(f"/expeditor/jobs/{A}/events")
    assert (pruned.status, (await pruned.json())["error"]["code"]) == (410, "GONE")
    assert edge.streams.count() == 0


async def test_who_missed_what_was_forgotten_is_told_so(edge, http):
    enqueue(edge.store, A)
    run(edge)
    enqueue(edge.store, B)
    done(edge.store.prune([A]))
    frames = await follow(http, "/expeditor/events", params={"after": cursor_of(1)})
    assert await frames.types(2) == ["stream.gap", "job.queued"]


@pytest.mark.parametrize(
    ("path", "params", "headers", "pointer"),
    [
        ("/expeditor/events", {"after": "nonsense"}, {}, "/after"),
        ("/expeditor/events", {"after": ""}, {}, "/after"),
        ("/expeditor/events", {"after": "am9iczo1"}, {}, "/after"),
        ("/expeditor/events", {}, {"Last-Event-ID": "é"}, "/Last-Event-ID"),
        ("/expeditor/events", {"types": "job.que"}, {}, "/types"),
        ("/expeditor/events", {"typs": "job.queued"}, {}, "/typs"),
        (f"/expeditor/jobs/{A}/events", {"principal": "ada"}, {}, "/principal"),
    ],
)
async def test_what_is_asked_wrongly_is_refused(edge, http, path, params, headers, pointer):
    enqueue(edge.store, A)
    answer = await http.get(path, params=params, headers=headers)
    error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (422, "INPUT_INVALID")
    assert [fault["pointer"] for fault in error["errors"]] == [pointer]
    assert edge.streams.count() == 0


async def test_too_many_streams_are_refused(edge, http):
    opened = [await follow(http, "/expeditor/events") for _ in range(3)]
    refused = await http.get("/expeditor/events")
    assert (refused.status, (await refused.json())["error"]["code"]) == (429, "RATE_LIMITED")
    assert int(refused.headers["Retry-After"]) > 0
    opened[0].response.close()
    await wait_until_async(lambda: edge.streams.count() == 2)
    assert (await follow(http, "/expeditor/events")).response.status == 200


@pytest.mark.long
async def test_a_reader_that_takes_nothing_is_cut_off_and_another_misses_nothing(edge, http):
    jobs = [f"00000000-0000-4000-8000-0000000001{n:02}" for n in range(100)]
    for job_id in (A, *jobs):
        enqueue(edge.store, job_id)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((http.server.host, http.server.port))
    sock.sendall(b"GET /expeditor/events HTTP/1.1\r\nHost: x\r\n\r\n")
    quick = await follow(http, "/expeditor/events", params={"types": "job.held"})
    await wait_until_async(lambda: edge.streams.count() == 2)
    held: list[int] = []

    async def read() -> None:
        while (told := await quick.next()) is not None:
            held.append(told[2]["number"])

    reading = asyncio.create_task(read())
    changes = 0
    while edge.streams.count() == 2:
        assert changes < 60_000, "never cut off"
        asked = [edge.store.reprioritise(job_id, Reprioritise(1 + changes % 10)) for job_id in jobs]
        asked += [edge.store.hold(A, held) for held in (True, False)]
        await asyncio.wrap_future(asked[-1])
        changes += len(asked)
    rounds = changes // len(asked)
    await wait_until_async(lambda: len(held) == rounds)
    assert held == list(range(2, 2 * rounds + 1, 2))
    reading.cancel()
    sock.close()


async def test_the_store_cannot_answer(edge, http):
    edge.store.close()
    answer = await http.get("/expeditor/events")
    assert (answer.status, (await answer.json())["error"]["code"]) == (503, "STORE_UNAVAILABLE")
    edge.store.open()
    assert done(edge.store.events(LogQuery())).events == ()


@pytest.mark.parametrize("events", [999, 1000, 1001, 1300])
async def test_a_job_of_very_many_events_is_told_on_after_its_replay(edge, http, events):
    enqueue(edge.store, A)
    for number in range(events - 1):
        asked = edge.store.reprioritise(A, Reprioritise(priority=1 + number % 2))
    done(asked)
    for _ in range(2):
        frames = await follow(http, f"/expeditor/jobs/{A}/events", params={"types": "job.reprioritised"})
        newest = cursor_of(done(edge.store.last_position()))
        while (await frames.next())[1] != newest:
            pass
        for number in range(3):
            done(edge.store.reprioritise(A, Reprioritise(priority=3 + number)))
            assert (await frames.next())[2]["priority"] == 3 + number
        frames.response.close()
