"""Streams: each event once and in order, however replay and live events meet, and whoever is slow or gone hurts nobody."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from expeditor.events.hub import Hub, Passing
from expeditor.events.streams import Gap, StreamLimits, Streams, TooSlow, Wanted
from expeditor.jobs.awaiting import Awaiter
from expeditor.jobs.errors import RateLimited
from expeditor.jobs.events import JobEvent, LoggedEvent
from expeditor.jobs.log import LogPage, LogQuery
from expeditor.jobs.model import BatchSlot, Job, JobStatus, Principal, Source
from tests.support.waiting import wait_until_async

JOB = Job("a", Principal("ada"), 3, Source.SUBMIT, JobStatus.RUNNING, 1.0, 1.0, 0.0, 1, 0.0, 0.0, 5.0)


class FakeLog:
    """A log in a list, which answers when it is told to, and commits before it publishes as a store does."""

    def __init__(self, hub: Hub, *, at_once: bool = True, page: int = 2) -> None:
        self.hub, self.at_once, self.page = hub, at_once, page
        self.kept: list[LoggedEvent] = []
        self.unpublished: list[JobEvent] = []
        self.asked: list[tuple[LogQuery, Future[LogPage]]] = []
        self.forgotten = 0
        self.reads = 0

    def commit(self, job: Job = JOB) -> None:
        position = len(self.kept) + 1
        event = JobEvent.of(job, 1.0).numbered(position, sum(one.job_id == job.id for one in self.kept) + 1)
        self.kept.append(event.logged())
        self.unpublished.append(event)

    def publish(self, count: int = 1000) -> None:
        told, self.unpublished = tuple(self.unpublished[:count]), self.unpublished[count:]
        if told:
            self.hub.publish(told)

    def happen(self, *jobs: Job) -> None:
        for job in jobs:
            self.commit(job)
        self.publish()

    def events(self, query: LogQuery) -> Future[LogPage]:
        self.reads += 1
        answer: Future[LogPage] = Future()
        self.asked.append((query, answer))
        if self.at_once:
            self.answer()
        return answer

    def answer(self) -> None:
        if not self.asked:
            return
        query, answer = self.asked.pop(0)
        kept = [event for event in self.kept if event.position > max(query.after, self.forgotten)]
        found = [event for event in kept if query.job_id in (None, event.job_id)]
        found = [event for event in found if query.principal in (None, event.principal)][: min(query.limit, self.page)]
        more = bool(found) and len(found) == min(query.limit, self.page)
        end = found[-1].position if more else max(query.after, len(self.kept))
        answer.set_result(LogPage(tuple(found), end, more, self.forgotten))

    def last_position(self) -> Future[int]:
        answer: Future[int] = Future()
        answer.set_result(len(self.kept))
        return answer


class FakeReader:
    def __init__(self) -> None:
        self.is_gone, self.was_cut = False, False

    def gone(self) -> bool:
        return self.is_gone

    def cut(self) -> None:
        self.was_cut = True


def made(**limits) -> tuple[FakeLog, Streams]:
    hub = Hub()
    log = FakeLog(hub)
    return log, Streams(hub, log, Awaiter(5.0), StreamLimits(**limits), look_s=0.02)


async def now(stream) -> list[int]:
    """The positions of all that a stream has to tell now."""
    await asyncio.sleep(0)
    told = list(await stream.some(0.0))
    while not stream.caught_up:
        told += await stream.some(0.0)
    return [one.position for one in told if isinstance(one, LoggedEvent)]


OPS = st.lists(st.sampled_from(["commit", "commit", "publish", "publish 1", "answer", "run", "reconnect"]), max_size=40)


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@example(ops=["run", "answer", "run", "commit", "commit", "commit"], before=0, buffer=1, page=1)
@given(ops=OPS, before=st.integers(0, 5), buffer=st.integers(1, 4), page=st.integers(1, 3))
def test_a_reader_that_comes_back_sees_each_event_once_and_in_order(ops, before, buffer, page):
    seen = asyncio.run(_with_reconnects(ops, before, buffer, page))
    assert seen == list(range(1, before + ops.count("commit") + 1))


async def _with_reconnects(ops, before, buffer, page) -> list[int]:
    hub = Hub()
    log, seen = FakeLog(hub, at_once=False, page=page), list[int]()
    streams = Streams(hub, log, Awaiter(5.0), StreamLimits(buffer=buffer))
    for _ in range(before):
        log.commit()
    readers = [asyncio.create_task(_read(streams, seen))]

    async def run() -> None:
        for _ in range(4):
            await asyncio.sleep(0)

    async def reconnect() -> None:
        readers[-1].cancel()
        await asyncio.gather(readers[-1], return_exceptions=True)
        readers.append(asyncio.create_task(_read(streams, seen)))

    steps = {"commit": log.commit, "publish": log.publish, "publish 1": lambda: log.publish(1), "answer": log.answer}
    steps |= {"run": run, "reconnect": reconnect}
    for op in ops:
        done = steps[op]()
        if done is not None:
            await done
    log.publish()
    log.at_once = True
    for _ in range(40):
        log.answer()
        await run()
    readers[-1].cancel()
    await asyncio.gather(readers[-1], return_exceptions=True)
    assert streams.count() == 0
    return seen


async def _read(streams: Streams, seen: list[int]) -> None:
    with streams.open(Wanted(job_id="a", after=seen[-1] if seen else 0)) as stream:
        await _note(stream, seen)


async def _note(stream, seen: list[int]) -> None:
    while (found := await stream.some()) is not None:
        seen.extend(told.position for told in found)


async def test_from_now_on_tells_nothing_of_before_and_reads_no_log():
    log, streams = made()
    log.happen(JOB, JOB)
    with streams.open(Wanted()) as stream:
        log.happen(JOB)
        assert await now(stream) == [3]
        assert log.reads == 0


async def test_more_than_the_buffer_holds_is_read_from_the_log():
    log, streams = made(buffer=3)
    log.happen(JOB, JOB)
    with streams.open(Wanted()) as stream:
        log.happen(*[JOB] * 10)
        assert await now(stream) == list(range(3, 13))
        log.happen(*[JOB] * 2)
        assert await now(stream) == [13, 14]


async def test_each_stream_hears_its_own_jobs_only():
    log, streams = made()
    other = replace(JOB, id="b", principal=Principal("bob"), slot=BatchSlot("batch", 0))
    wanted = [Wanted(job_id="a"), Wanted(principal="bob"), Wanted(batch_id="batch"), Wanted(), Wanted(job_id="none")]
    wanted.append(Wanted(batch_id="batch", principal="ada"))
    opened = [streams.open(each) for each in wanted]
    log.happen(JOB, other, JOB)
    assert [await now(stream) for stream in opened] == [[1, 3], [2], [2], [1, 2, 3], [], []]


async def test_a_stream_that_nothing_concerns_is_not_woken():
    log, streams = made()
    with streams.open(Wanted(job_id="b")) as stream:
        waits = asyncio.create_task(stream.some(None))
        log.happen(*[JOB] * 50)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waits.done()
        log.happen(replace(JOB, id="b"))
        assert [one.job_id for one in await asyncio.wait_for(waits, 5)] == ["b"]


async def test_events_of_another_thread_wake_the_reader():
    log, streams = made()
    with streams.open(Wanted()) as stream:
        threading.Thread(target=lambda: log.happen(JOB)).start()
        assert [one.position for one in await stream.some(5.0)] == [1]


async def test_nothing_within_the_time_is_an_empty_answer():
    _, streams = made()
    with streams.open(Wanted()) as stream:
        assert await stream.some(0.01) == ()


async def test_no_more_streams_than_allowed_and_a_closed_one_makes_room():
    _, streams = made(streams=2)
    first, _second = streams.open(Wanted()), streams.open(Wanted())
    with pytest.raises(RateLimited) as refused:
        streams.open(Wanted())
    assert refused.value.retry_after_s > 0
    first.close()
    first.close()
    assert streams.count() == 1
    assert streams.open(Wanted()) is not first


async def test_a_reader_that_stays_away_is_cut_off_and_the_others_are_not():
    log, streams = made(patience_s=0.05)
    slow, quick = FakeReader(), FakeReader()
    one, two = streams.open(Wanted(), slow), streams.open(Wanted(), quick)
    heard: list[int] = []
    reading = asyncio.create_task(_note(two, heard))
    log.happen(JOB)
    await wait_until_async(lambda: slow.was_cut)
    with pytest.raises(TooSlow):
        await one.some(None)
    log.happen(JOB)
    await wait_until_async(lambda: heard == [1, 2])
    assert not quick.was_cut
    two.close()
    await reading


async def test_a_stream_without_its_reader_is_closed():
    _, streams = made()
    reader = FakeReader()
    stream = streams.open(Wanted(), reader)
    waits = asyncio.create_task(stream.some(None))
    reader.is_gone = True
    assert await asyncio.wait_for(waits, 5) is None
    assert streams.count() == 0


async def test_closing_all_ends_every_reader():
    _, streams = made()
    stream = streams.open(Wanted())
    waits = asyncio.create_task(stream.some(None))
    await asyncio.sleep(0)
    streams.close()
    assert await asyncio.wait_for(waits, 5) is None


async def test_who_has_missed_forgotten_events_is_told_so():
    log, streams = made()
    log.happen(*[JOB] * 6)
    log.forgotten = 3
    with streams.open(Wanted(after=1)) as stream:
        assert isinstance((await stream.some(0.0))[0], Gap)
        assert await now(stream) == [6]
    with streams.open(Wanted(after=3)) as stream:
        assert await now(stream) == [4, 5, 6]
    with streams.open(Wanted(job_id="a", after=1)) as stream:
        assert isinstance((await stream.some(0.0))[0], Gap)


async def test_a_position_of_another_log_begins_anew():
    log, streams = made()
    log.happen(JOB, JOB)
    with streams.open(Wanted(job_id="a", after=900)) as stream:
        told = await stream.some(0.0)
        assert isinstance(told[0], Gap)
        assert await now(stream) == [1, 2]


async def test_of_what_passes_only_the_latest_is_told_and_none_after_the_end():
    log, streams = made()
    with streams.open(Wanted(job_id="a")) as stream, streams.open(Wanted(job_id="a", passing=False)) as deaf:
        log.happen(JOB)
        for value in (1, 2, 3):
            log.hub.pass_on(Passing("job.progress", "a", 1.0, {"value": value}))
        await asyncio.sleep(0)
        assert [getattr(one, "facts", None) for one in (await stream.some(0.0))[1:]] == [{"value": 3}]
        log.hub.pass_on(Passing("job.progress", "a", 1.0, {"value": 4}))
        log.happen(replace(JOB, status=JobStatus.SUCCEEDED))
        log.hub.pass_on(Passing("job.progress", "a", 1.0, {"value": 5}))
        await asyncio.sleep(0)
        assert [one.type for one in await stream.some(0.0)] == ["job.succeeded"]
        assert [one.type for one in await deaf.some(0.0)] == ["job.started", "job.succeeded"]


async def test_what_passes_is_wanted_only_while_somebody_listens_and_the_job_runs():
    log, streams = made()
    assert not log.hub.wants("a")
    log.happen(JOB)
    assert not log.hub.wants("a")
    for wanted in (Wanted(job_id="a"), Wanted(principal="ada"), Wanted()):
        with streams.open(wanted):
            assert log.hub.wants("a")
            assert not log.hub.wants("b")
    with streams.open(Wanted(job_id="a", passing=False)):
        assert not log.hub.wants("a")
    assert not log.hub.wants("a")
