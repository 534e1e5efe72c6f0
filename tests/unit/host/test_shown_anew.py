"""host/shown_anew.py: what ComfyUI's lists lack of the queue, or have too much, when events may have been missed."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from expeditor.host.shown_anew import PictureLook
from expeditor.jobs.model import Attempt, JobStatus
from tests.support.jobs import a_job

QUEUED, RUNNING, ENDED = JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.SUCCEEDED
AT_ONCE = 2


def item(job_id: str) -> tuple[float, str]:
    return (1.0, job_id)


class FakeQueue:
    """ComfyUI's lists, as far as they are compared."""

    def __init__(self) -> None:
        self.mutex = threading.RLock()
        self.queue: list[tuple[float, str]] = []
        self.currently_running: dict[int, tuple[float, str]] = {}
        self.expeditor = SimpleNamespace(stood_down=False, restored=True, elsewhere={}, arriving=set())

    def remove(self, job_ids: set[str]) -> None:
        self.queue = [each for each in self.queue if each[1] not in job_ids]


class FakeStore:
    """Some jobs, two of which make a page."""

    def __init__(self) -> None:
        self.jobs = {}
        self.got: list[str] = []

    def get(self, job_id):
        self.got.append(job_id)
        return done(self.jobs.get(job_id))

    def listed(self, statuses, cursor):
        found = [job for job in self.jobs.values() if job.status in statuses][int(cursor or 0) :]
        more = len(found) > AT_ONCE
        return done((found[:AT_ONCE], str(int(cursor or 0) + AT_ONCE) if more else None))


def done(value):
    future = Future()
    future.set_result(value)
    return future


class Looking:
    def __init__(self) -> None:
        self.queue, self.store, self.told = FakeQueue(), FakeStore(), []
        self.picture = PictureLook(lambda: self.queue, self.store, self.store.listed, self, lambda: 9.0, "here")

    def publish(self, events) -> None:
        self.told += [(event.job.id, event.job.status) for event in events]

    def has(self, job_id, status=QUEUED, origin="here", runner=None) -> None:
        attempts = () if runner is None else (Attempt(1, 1.0, f"{runner}/1"),)
        self.store.jobs[job_id] = a_job(id=job_id, status=status, origin=origin, attempts=attempts)

    async def finds(self):
        await self.picture.look()
        return sorted(self.told)


@pytest.fixture
def looking() -> Looking:
    return Looking()


async def test_all_that_waits_is_compared_however_much_it_is(looking):
    for number in range(2 * AT_ONCE + 1):
        looking.has(f"{number}")
    looking.queue.queue = [item("0"), item("2")]
    assert await looking.finds() == [("1", QUEUED), ("3", QUEUED), ("4", QUEUED)]
    assert looking.store.got == [], "what the pages told is not asked for again"


async def test_only_this_instances_jobs_are_and_of_runs_those_elsewhere(looking):
    looking.has("of another", origin="there")
    looking.has("runs there", RUNNING, runner="there")
    looking.has("runs here", RUNNING, runner="here")
    looking.has("known", RUNNING, runner="there")
    looking.queue.expeditor.elsewhere["known"] = item("known")
    assert await looking.finds() == [("runs there", RUNNING)]


async def test_what_is_shown_and_ended_or_is_gone_leaves(looking):
    looking.has("ended", ENDED)
    looking.has("waits again")
    looking.queue.queue = [item("ended"), item("gone"), item("waits again")]
    looking.queue.expeditor.elsewhere["gone too"] = item("gone too")
    assert await looking.finds() == [("ended", ENDED)]
    assert [each[1] for each in looking.queue.queue] == ["ended", "waits again"], "the listing takes off what ended"
    assert looking.queue.expeditor.elsewhere == {}


async def test_what_is_on_its_way_here_is_left_alone(looking):
    looking.has("on the machine", ENDED)
    looking.has("arrives")
    looking.queue.queue = [item("on the machine")]
    looking.queue.currently_running[1] = item("on the machine")
    looking.queue.expeditor.arriving.add("arrives")
    assert await looking.finds() == []


async def test_a_queue_that_is_cores_is_not_looked_at(looking):
    looking.has("a")
    looking.queue.expeditor.stood_down = True
    assert await looking.finds() == []
