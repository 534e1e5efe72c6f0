"""Questions of parked jobs among instances that share a queue: each knows all of them, and an answer to any reaches the job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expeditor.events.mailbox import Mailbox
from expeditor.events.parked_look import ParkedLook
from expeditor.events.parked_waits import ParkedWaits
from expeditor.events.post import PostOffice
from expeditor.events.wait_copies import WaitCopies
from expeditor.events.wait_pictures import WaitPictures
from expeditor.jobs import transitions
from expeditor.jobs.errors import ExpeditorError, Gone, NotFound, StoreUnavailable
from expeditor.jobs.events import JobEvent
from expeditor.jobs.model import Attempt, Job, JobStatus
from expeditor.jobs.waits import Ask, AskKind, JobWait, Picture
from tests.support.clocks import HandMonotonic
from tests.support.fake_cluster import FakeCluster
from tests.support.jobs import a_job
from tests.support.waiting import wait_until_async

NAMES = ("east", "west", "south")
NOW_S = 2.0
SHOWN = Picture("image/png", b"shown")


def a_wait(token: str = "t1", node_id: str = "7", **fields: Any) -> JobWait:
    return JobWait(token, node_id, Ask(label="On?"), 1.0, 60.0, 64, **fields)


def running(at: str = "west", **fields: Any) -> Job:
    attempts = (Attempt(1, 1.0, f"{at}/1"),)
    return a_job(**{"id": "job", "status": JobStatus.RUNNING, "origin": "east", "attempts": attempts, **fields})


class FakeStore:
    """One parked job, moved as every store does; heard by all when the test says so."""

    def __init__(self) -> None:
        self.job: Job | None = None

    def get(self, _job_id: str) -> Future[Job | None]:
        return _done(lambda: self.job)

    def waiting(self, _statuses: Any, cursor: str | None) -> Future[Any]:
        """Two pages, the job on the second."""
        there = self.job is not None and self.job.status is JobStatus.WAITING
        return _done(lambda: ([self.job] if cursor and there else [], None if cursor else "behind"))

    def answer(self, _job_id: str, token: str, message: str) -> Future[Job]:
        def answered() -> Job:
            assert self.job is not None
            self.job = transitions.answer(self.job, token, message, NOW_S)
            return self.job

        return _done(answered)


def _done(make: Callable[[], Any]) -> Future[Any]:
    future: Future[Any] = Future()
    try:
        future.set_result(make())
    except ExpeditorError as error:
        future.set_exception(error)
    return future


class FakePictures:
    """Pictures of those who have some; nobody else can be asked."""

    def __init__(self) -> None:
        self.at: dict[str, Picture | None] = {}

    async def picture(self, instance: str, token: str, number: int) -> Picture:
        if instance not in self.at:
            raise StoreUnavailable(f"{instance} is away")
        picture = self.at[instance]
        if picture is None:
            raise NotFound(f"{instance} has no picture {number} of {token}")
        return picture


class Instance:
    """One instance: mailbox, post and what its pages were told."""

    def __init__(self, name: str, cluster: FakeCluster, store: FakeStore, pictures: FakePictures, folder: Path) -> None:
        self.files, self.told = WaitPictures(folder), list[Any]()
        self.mailbox = Mailbox(lambda: NOW_S, lambda: "t1", self.files)
        self.waits = ParkedWaits(self.mailbox, 5.0, name)
        self.waits.join(store, lambda: None, self.tell)
        relay = cluster.relay(name)
        self.post = PostOffice(self.mailbox, HandMonotonic(), relay, pictures, self.waits)
        self.post.join(self.tell)
        self.copies = WaitCopies(self.files, pictures, asyncio.get_running_loop, self.mailbox.is_open)
        self.waits.join_others(relay, self.post.expect, self.copies.fetch)

    def tell(self, event: Any) -> None:
        self.told.append((event["type"], event["token"]))

    def tokens(self) -> list[str]:
        return [wait.token for wait in self.post.pending()]


class Three:
    """The instances. `west` parks."""

    def __init__(self, folder: Path) -> None:
        self.relays, self.store, self.pictures = FakeCluster(lambda: 0.0), FakeStore(), FakePictures()
        self.instances = {name: Instance(name, self.relays, self.store, self.pictures, folder / name) for name in NAMES}
        self.east, self.west, self.south = (self.instances[name] for name in NAMES)

    def park(self, *waits: JobWait) -> None:
        """As a run on west is parked, which is heard everywhere."""
        self.west.waits.begin("job", waits or (a_wait(),))
        asked = self.west.mailbox.park("job")
        assert asked
        self.store.job, _ = transitions.park(running(), NOW_S, asked)
        self.tell()

    def tell(self, *but: str) -> None:
        """Everybody hears how the job stands."""
        assert self.store.job is not None
        events = (JobEvent.of(self.store.job, NOW_S),)
        for name, instance in self.instances.items():
            if name not in but:
                instance.waits.publish(events)

    def goes_on(self, at: str, *, begins: bool = True) -> None:
        """An instance has claimed the job."""
        assert self.store.job is not None
        self.store.job, _ = transitions.resume(self.store.job, NOW_S, f"{at}/1")
        self.tell()
        if begins:
            self.begins(at)

    def begins(self, at: str) -> None:
        assert self.store.job is not None
        assert self.store.job.parked is not None
        self.instances[at].waits.begin("job", self.store.job.parked.waits)


@pytest.fixture
def cluster(tmp_path: Path) -> Three:
    return Three(tmp_path)


def tokens(cluster: Three) -> list[list[str]]:
    return [instance.tokens() for instance in cluster.instances.values()]


@pytest.mark.parametrize("at", NAMES)
async def test_everybody_lists_it_and_takes_the_answer_and_then_nobody_does(cluster: Three, at: str):
    cluster.park()
    assert tokens(cluster) == [["t1"]] * 3
    assert (await cluster.instances[at].post.deliver("yes é", "7")).token == "t1"
    assert cluster.store.job is not None
    assert cluster.store.job.parked is not None
    assert cluster.store.job.parked.waits[0].answer == "yes é"
    assert tokens(cluster) == [[]] * 3
    for instance in cluster.instances.values():
        assert instance.told[-1] == ("message.closed", "t1")
        assert [told for told in instance.told if told[0] == "message.closed"] == [("message.closed", "t1")]
        with pytest.raises(Gone):
            await instance.post.deliver("late", "7", "t1")


async def test_it_stays_listed_when_who_parked_it_is_heard_of_no_more(cluster: Three):
    cluster.park()
    cluster.relays.relays.remove(cluster.relays.relays[1])
    cluster.east.post._monotonic.now_s += 1000  # type: ignore[attr-defined] - the test's own clock
    assert cluster.east.tokens() == ["t1"]
    assert (await cluster.east.post.deliver("yes", "7")).token == "t1"


async def test_an_answer_whose_word_was_lost_is_refused_by_the_store(cluster: Three):
    cluster.park()
    cluster.relays.away = True
    await cluster.east.post.deliver("first", "7")
    assert cluster.south.tokens() == ["t1"]
    late = asyncio.ensure_future(cluster.south.post.deliver("second", "7"))
    await asyncio.wait({late}, timeout=0.05)
    cluster.goes_on("west")
    with pytest.raises(Gone):
        await late
    assert cluster.south.tokens() == []


@pytest.mark.parametrize("at", ["west", "south"])
async def test_what_nobody_answered_is_asked_on_where_the_job_goes_on(cluster: Three, at: str):
    cluster.park(a_wait("t1"), a_wait("t2", "8"))
    await cluster.east.post.deliver("yes", "7")
    cluster.goes_on(at)
    assert tokens(cluster) == [["t2"]] * 3
    assert ("message.closed", "t2") not in cluster.east.told
    assert (await cluster.east.post.deliver("more", "8")).token == "t2"
    wait = cluster.instances[at].mailbox.open("job", "8", ask=Ask(), deadline_s=9.0)
    assert (wait.token, wait.poll(0)) == ("t2", "more")


async def test_an_answer_waits_for_a_job_that_is_claimed_and_has_not_begun_elsewhere(cluster: Three):
    cluster.park(a_wait("t1"), a_wait("t2", "8"))
    await cluster.east.post.deliver("yes", "7")
    cluster.goes_on("south", begins=False)
    sent = asyncio.ensure_future(cluster.east.post.deliver("more", "8"))
    await asyncio.wait({sent}, timeout=0.1)
    assert not sent.done()
    cluster.begins("south")
    assert (await sent).token == "t2"


async def test_an_answer_that_comes_while_the_job_goes_on_elsewhere_finds_it_there(cluster: Three):
    cluster.park(a_wait("t1"), a_wait("t2", "8"))
    await cluster.east.post.deliver("yes", "7")
    assert cluster.store.job is not None
    cluster.store.job, _ = transitions.resume(cluster.store.job, NOW_S, "south/1")  # claimed, and not heard yet
    sent = asyncio.ensure_future(cluster.east.post.deliver("more", "8"))
    await asyncio.wait({sent}, timeout=0.1)
    cluster.tell()
    cluster.begins("south")
    assert (await sent).token == "t2"


async def test_an_answer_waits_for_a_job_that_is_just_being_parked_elsewhere(cluster: Three):
    cluster.west.waits.begin("job", (a_wait(),))
    asked = cluster.west.mailbox.park("job")
    sent = asyncio.ensure_future(cluster.east.post.deliver("yes", "7"))
    await asyncio.wait({sent}, timeout=0.1)
    assert not sent.done()
    cluster.store.job, _ = transitions.park(running(), NOW_S, asked)
    cluster.tell()
    assert (await sent).token == "t1"


async def test_no_page_is_told_that_a_question_is_over_while_its_job_changes_hands(cluster: Three):
    cluster.park(a_wait("t1"), a_wait("t2", "8"))
    await cluster.east.post.deliver("yes", "7")
    assert cluster.store.job is not None
    cluster.store.job, _ = transitions.resume(cluster.store.job, NOW_S, "south/1")
    cluster.tell("west")
    cluster.west.post.refresh()  # it has not heard yet
    cluster.tell("east", "south")
    assert tokens(cluster) == [["t2"]] * 3
    cluster.store.job, _ = transitions.give_back(cluster.store.job, NOW_S)
    cluster.tell("east")
    cluster.south.post.announce()  # and it asks nothing itself
    assert cluster.east.tokens() == ["t2"]
    cluster.tell("south", "west")
    cluster.goes_on("south")
    assert tokens(cluster) == [["t2"]] * 3
    assert [told for told in cluster.east.told if told == ("message.closed", "t2")] == []
    cluster.store.job = replace(cluster.store.job, status=JobStatus.CANCELED)
    cluster.tell()
    assert tokens(cluster) == [[]] * 3
    assert ("message.closed", "t2") in cluster.east.told


async def test_a_run_that_was_never_heard_of_closes_its_questions_with_its_job(cluster: Three):
    cluster.park()
    cluster.relays.away = True
    cluster.goes_on("south")
    assert cluster.east.tokens() == ["t1"]
    assert cluster.store.job is not None
    cluster.store.job = replace(cluster.store.job, status=JobStatus.CANCELED)
    cluster.tell()
    assert ("message.closed", "t1") in cluster.east.told
    cluster.east.post._monotonic.now_s += 10  # type: ignore[attr-defined] - the test's own clock
    assert cluster.east.tokens() == []


@pytest.mark.parametrize("status", [JobStatus.CANCELED, JobStatus.QUEUED])
async def test_a_job_that_ends_or_begins_anew_asks_nothing_any_more(cluster: Three, status: JobStatus):
    cluster.park()
    assert cluster.store.job is not None
    cluster.store.job = replace(cluster.store.job, status=status)
    cluster.tell()
    assert tokens(cluster) == [[]] * 3
    assert cluster.south.told[-1] == ("message.closed", "t1")


async def test_the_end_of_a_run_that_lost_its_job_closes_nothing_of_who_parked_it(cluster: Three):
    cluster.park(a_wait("t1"), a_wait("t2", "8"))
    await cluster.east.post.deliver("yes", "7")
    cluster.goes_on("south")
    asked = cluster.south.mailbox.park("job")
    assert cluster.store.job is not None
    cluster.store.job, _ = transitions.park(cluster.store.job, NOW_S, asked)
    cluster.tell()
    cluster.west.waits.end("job")
    assert tokens(cluster) == [["t2"]] * 3


async def test_a_start_takes_up_what_others_parked(cluster: Three, tmp_path: Path):
    cluster.park()
    assert cluster.store.job is not None
    again = Instance("north", cluster.relays, cluster.store, cluster.pictures, tmp_path / "north")
    again.waits.restore([cluster.store.job])
    assert (again.tokens(), again.told) == (["t1"], [])
    assert (await again.post.deliver("yes", "7")).token == "t1"


async def test_what_was_missed_is_looked_up(cluster: Three):
    parked_unheard = [name for name in NAMES if name != "west"]
    cluster.west.waits.begin("job", (a_wait(),))
    cluster.store.job, _ = transitions.park(running(), NOW_S, cluster.west.mailbox.park("job"))
    cluster.relays.away = True
    cluster.tell(*parked_unheard)
    here = set[str]()
    look = ParkedLook(
        cluster.store,
        cluster.store.waiting,
        (cluster.south.waits,),
        cluster.south.mailbox.parked_jobs,
        here.__contains__,
        lambda: NOW_S,
    )
    await look.look()
    assert cluster.south.mailbox.parked_jobs() == {"job"}
    cluster.store.job = replace(cluster.store.job, status=JobStatus.CANCELED)
    here.add("job")
    await look.look()
    assert cluster.south.mailbox.parked_jobs() == {"job"}, "what runs here is not looked at"
    here.clear()
    await look.look()
    assert cluster.south.mailbox.pending() == ()


# --- pictures -------------------------------------------------------------------------------------------------------


def showing() -> JobWait:
    return replace(a_wait(), ask=Ask(AskKind.APPROVE, "Good?", pictures=1))


async def test_its_pictures_are_copied_to_where_it_was_submitted_and_nowhere_else(cluster: Three):
    cluster.pictures.at = {"west": SHOWN}
    cluster.park(showing())
    await wait_until_async(lambda: cluster.east.files.find("t1", 0) is not None, what="the copy")
    assert cluster.south.files.find("t1", 0) is None
    cluster.pictures.at = {}
    assert await cluster.east.post.picture("t1", 0) == SHOWN
    with pytest.raises(StoreUnavailable):
        await cluster.south.post.picture("t1", 0)
    cluster.pictures.at = {"east": SHOWN}
    assert await cluster.south.post.picture("t1", 0) == SHOWN, "who submitted it has them too"
    with pytest.raises(NotFound):
        await cluster.south.post.picture("t1", 1)
    await cluster.south.post.deliver("approve", "7")
    await wait_until_async(lambda: cluster.east.files.find("t1", 0) is None, what="no more pictures")


async def test_a_copy_that_comes_too_late_is_not_left_behind(cluster: Three, tmp_path: Path):
    cluster.pictures.at = {"west": SHOWN}
    cluster.park(showing())
    assert cluster.store.job is not None
    cluster.store.job = replace(cluster.store.job, status=JobStatus.CANCELED)
    cluster.tell()
    assert (cluster.east.mailbox.pending(), cluster.east.files.find("t1", 0)) == ((), None)
    await wait_until_async((tmp_path / "east").exists, what="the copy")
    await wait_until_async(lambda: not any((tmp_path / "east").iterdir()), what="no copy")


async def test_whoever_goes_on_elsewhere_shows_what_its_own_run_has_made(cluster: Three):
    cluster.pictures.at = {"west": SHOWN}
    cluster.park(showing(), a_wait("t2", "8"))
    await wait_until_async(lambda: cluster.east.files.find("t1", 0) is not None, what="the copy")
    await cluster.east.post.deliver("on", "8")
    cluster.goes_on("south")
    cluster.pictures.at = {"south": None}
    assert await cluster.east.post.picture("t1", 0) == SHOWN, "the copy, until that run is there"
    fresh = Picture("image/png", b"fresh")
    cluster.south.mailbox.open("job", "7", ask=showing().ask, deadline_s=9.0, pictures=[fresh])
    assert cluster.south.mailbox.picture("t1", 0) == fresh
    cluster.pictures.at = {"south": fresh}
    assert await cluster.east.post.picture("t1", 0) == fresh
