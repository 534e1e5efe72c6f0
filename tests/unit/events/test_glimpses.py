"""Progress and previews: only for those who listen, at most two a second, and the last word is never lost."""

from __future__ import annotations

import asyncio

from expeditor.events.glimpses import APART_S, Glimpses
from expeditor.events.hub import Hub
from expeditor.events.streams import StreamLimits, Streams, Wanted
from expeditor.jobs.awaiting import Awaiter
from expeditor.jobs.events import JobEvent
from expeditor.jobs.model import Job, JobStatus, Principal, Progress, Source
from tests.unit.events.test_streams import FakeLog

JOB = Job("a", Principal("ada"), 3, Source.SUBMIT, JobStatus.RUNNING, 1.0, 1.0, 0.0, 1, 0.0, 0.0, 5.0)


class FakeRuns:
    """A run whose progress the test sets."""

    def __init__(self) -> None:
        self.value = 0.0
        self.asked = 0

    def progress(self, job_id: str) -> Progress | None:
        self.asked += 1
        return Progress(self.value, 0, 1) if job_id == "a" else None


class Scene:
    def __init__(self) -> None:
        self.hub, self.runs, self.now_s = Hub(), FakeRuns(), 100.0
        self.glimpses = Glimpses(self.hub, self.runs, lambda: 1.0, lambda: self.now_s)
        self.streams = Streams(self.hub, FakeLog(self.hub), Awaiter(5.0), StreamLimits())
        self.hub.publish((JobEvent.of(JOB, 1.0),))


async def _told(stream, timeout_s: float = 0.0) -> list[dict]:
    await asyncio.sleep(0)
    return [one.facts for one in await stream.some(timeout_s)]


async def test_nothing_is_looked_at_where_nobody_listens():
    scene = Scene()
    made: list[int] = []
    scene.glimpses.progressed("a")
    scene.glimpses.previewed("a", lambda: made.append(1))
    with scene.streams.open(Wanted(job_id="b")):
        scene.glimpses.progressed("a")
        scene.glimpses.previewed("a", lambda: made.append(1))
    assert (scene.runs.asked, made) == (0, [])


async def test_the_first_progress_is_told_at_once_and_the_last_one_after_a_while():
    scene = Scene()
    with scene.streams.open(Wanted(job_id="a")) as stream:
        for value in (0.1, 0.2, 0.3):
            scene.runs.value = value
            scene.glimpses.progressed("a")
        assert [facts["progress"]["value"] for facts in await _told(stream)] == [0.1]
        scene.runs.value = 0.9
        assert [facts["progress"]["value"] for facts in await _told(stream, 5.0)] == [0.9]
        assert scene.runs.asked == 2


async def test_a_preview_that_comes_too_soon_is_not_even_made():
    scene = Scene()
    made: list[int] = []

    def facts(number: int) -> dict:
        made.append(number)
        return {"number": number}

    with scene.streams.open(Wanted(principal="ada")) as stream:
        scene.glimpses.previewed("a", lambda: facts(1))
        scene.glimpses.previewed("a", lambda: facts(2))
        scene.now_s += APART_S
        scene.glimpses.previewed("a", lambda: facts(3))
        assert (await _told(stream), made) == ([{"number": 3}], [1, 3])  # the latest only


async def test_a_preview_that_cannot_be_made_is_passed_over():
    scene = Scene()
    with scene.streams.open(Wanted()) as stream:
        scene.glimpses.previewed("a", lambda: None)
        assert await _told(stream) == []
