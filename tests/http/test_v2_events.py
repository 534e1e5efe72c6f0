"""The contract's event stream: a snapshot, then what happens, all outputs before the last status, never silent for long."""

from __future__ import annotations

import asyncio
import json

import pytest

from expeditor.jobs.asset_ids import output_asset_id
from expeditor.jobs.events import PREVIEW, PROGRESS
from expeditor.jobs.model import JobStatus
from expeditor.routes.v2.errors import REQUEST_ID
from tests.conformance.harness import IMAGE, claim, done, ending
from tests.http.edge import PROMPT
from tests.http.v2_edge import told
from tests.support.waiting import wait_until_async

JOBS = "/api/v2/jobs"
PLENTY_S = 20.0


async def submitted(http):
    response = await http.post(JOBS, json={"workflow": PROMPT})
    assert response.status == 201, await response.text()
    return (await response.json())["id"]


class Reading:
    """A stream that is read: frames as pairs of name and JSON, comments as None."""

    def __init__(self, response):
        self.response = response

    async def frame(self):
        """The next frame or comment; StopAsyncIteration at the end."""
        raw = await asyncio.wait_for(self.response.content.readuntil(b"\n\n"), PLENTY_S)
        if raw.startswith(b":"):
            return None
        name, data = raw.decode("ascii").rstrip("\n").split("\n")
        return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    async def next(self):
        """The next frame that is no comment."""
        while True:
            frame = await self.frame()
            if frame is not None:
                return frame

    async def rest(self):
        """All frames to the end."""
        raw = await asyncio.wait_for(self.response.content.read(), PLENTY_S)
        frames = [part for part in raw.decode("ascii").split("\n\n") if part and not part.startswith(":")]
        return [part.split("\n")[0].removeprefix("event: ") for part in frames]


async def stream(http, job_id):
    response = await http.get(f"{JOBS}/{job_id}/events")
    assert response.status == 200, await response.text()
    assert response.content_type == "text/event-stream"
    assert response.headers[REQUEST_ID]
    return Reading(response)


def finish(edge, job_id, attempt, status=JobStatus.SUCCEEDED, **fields):
    done(edge.store.finish(job_id, attempt, ending(status, finished_at_s=edge.clock.now_s, **fields)))


def status(word, position=None):
    return ("status", {"status": word, "queue_position": position})


async def test_a_job_from_its_wait_to_its_end(v2, v2_edge):
    job_id = await submitted(v2)
    reading = await stream(v2, job_id)
    assert await reading.next() == status("queued", 1)
    attempt = claim(v2_edge.store).attempt
    assert await reading.next() == status("running")
    other = type(IMAGE)("8", "b.txt", "", "output", "text", "text/plain", None)
    finish(v2_edge, job_id, attempt, outputs=(IMAGE, other))
    frames = [await reading.next() for _ in range(3)]
    assert [name for name, _ in frames] == ["output", "output", "status"]
    job = await (await v2.get(f"{JOBS}/{job_id}")).json()
    assert [body for _, body in frames[:2]] == job["outputs"]
    assert frames[0][1]["id"] == output_asset_id(job_id, IMAGE)
    assert frames[2] == status("succeeded")
    assert await reading.rest() == []


async def test_an_ended_job_tells_its_outputs_before_its_status(v2, v2_edge):
    job_id = await submitted(v2)
    finish(v2_edge, job_id, claim(v2_edge.store).attempt, outputs=(IMAGE,))
    assert await (await stream(v2, job_id)).rest() == ["output", "status"]
    assert v2_edge.streams.count() == 0


async def test_a_place_in_the_queue_that_moves_is_told(v2, v2_edge):
    first, second = await submitted(v2), await submitted(v2)
    reading = await stream(v2, second)
    assert await reading.next() == status("queued", 2)
    await v2.post(f"{JOBS}/{first}/cancel")
    assert await reading.next() == status("queued", 1)
    done(v2_edge.store.hold(second, True))
    assert await reading.next() == status("queued", None)
    await v2.post(f"{JOBS}/{second}/cancel")
    assert [await reading.next(), await reading.next()] == [status("canceling"), status("canceled")]


async def test_a_running_job_shows_how_far_it_is(v2, v2_edge):
    job_id = await submitted(v2)
    attempt = claim(v2_edge.store).attempt
    reading = await stream(v2, job_id)
    assert await reading.next() == status("running")
    facts = {
        "value": 0.5,
        "nodes_done": 1,
        "nodes_total": 2,
        "current_node": "2",
        "current_node_class": "B",
        "step": 3.0,
        "steps": 6.0,
    }
    v2_edge.hub.pass_on(v2_edge.passing(PROGRESS, job_id, {"progress": facts}))
    assert await reading.next() == ("progress", {**facts, "step": 3, "steps": 6})
    picture = {"node_id": "2", "content_type": "image/jpeg", "data_base64": "AAAA"}
    v2_edge.hub.pass_on(v2_edge.passing(PREVIEW, job_id, picture))
    assert await reading.next() == ("preview", picture)
    finish(v2_edge, job_id, attempt, JobStatus.CANCELED)
    assert await reading.next() == status("canceling")
    assert await reading.next() == status("canceled")
    assert await reading.rest() == []


async def test_silence_is_broken_by_comments(v2):
    reading = await stream(v2, await submitted(v2))
    await reading.next()
    assert await reading.frame() is None


async def test_too_many_streams_are_told_by_name_and_make_room_again(v2, v2_edge):
    job_id = await submitted(v2)
    open_ones = [await stream(v2, job_id) for _ in range(3)]
    over = await v2.get(f"{JOBS}/{job_id}/events")
    assert await told(over) == (429, "too_many_streams")
    assert int(over.headers["Retry-After"]) >= 1
    assert (await v2.get(f"{JOBS}/{job_id}")).status == 200, "a poll is always served"
    open_ones[0].response.close()
    await wait_until_async(lambda: v2_edge.streams.count() < 3, PLENTY_S, what="a closed stream to be noticed")
    assert await (await stream(v2, job_id)).next() == status("queued", 1)


@pytest.mark.parametrize("job_id", ["none", "%ff", "0b8f9c1e-0000-4000-8000-00000000abcd"])
async def test_a_job_that_is_not_there_is_404_and_leaves_no_stream(v2, v2_edge, job_id):
    assert await told(await v2.get(f"{JOBS}/{job_id}/events")) == (404, "not_found")
    assert v2_edge.streams.count() == 0
