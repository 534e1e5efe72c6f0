"""Messages to nodes that wait on another instance, and progress of jobs that run there."""

from __future__ import annotations

import asyncio
import json

import pytest

from expeditor.events.hub import Hub
from expeditor.events.mailbox import Mailbox
from expeditor.events.onlookers import ASK_AGAIN_S, LOOK, LOOKED_AT_MAX, LOOKED_S, Onlookers
from expeditor.events.post import ASK, BELIEVED_S, TEXTS_MAX_BYTES, WAITS, PostOffice
from expeditor.jobs.errors import Conflict, Gone, InputInvalid, LimitExceeded, NotFound, StoreUnavailable
from expeditor.jobs.events import JobEvent
from expeditor.jobs.model import Attempt, JobStatus, Progress
from expeditor.jobs.waits import Ask, AskKind, Picture
from tests.support.clocks import HandMonotonic
from tests.support.fake_cluster import FakeCluster
from tests.support.jobs import a_job

WELL = Ask(label="Well?")
HALF = Progress(0.5, 1, 2, "1", "A", 3.0, 6.0)


class FakePictures:
    """Every instance has every picture."""

    async def picture(self, instance, token, number):
        return Picture("image/png", f"{instance} {number}".encode())


class Offices:
    """A node waits on west, people are on east."""

    def __init__(self):
        self.cluster, self.clock = FakeCluster(lambda: 0.0), HandMonotonic()
        tokens = iter(f"t{n}" for n in range(99))
        self.boxes = {name: Mailbox(self.clock, lambda: next(tokens)) for name in ("east", "west")}
        self.offices = {
            name: PostOffice(box, self.clock, self.cluster.relay(name), FakePictures(), answer_s=0.2)
            for name, box in self.boxes.items()
        }
        self.shown = []
        self.east.join(lambda event: self.shown.append((event["type"], event["token"])))

    @property
    def east(self):
        return self.offices["east"]

    def wait(self, where="west", node="5", ask=WELL, **how):
        return self.boxes[where].open("a", node, ask=ask, deadline_s=60.0, **how)


@pytest.fixture
def offices():
    return Offices()


async def test_a_message_reaches_the_node_on_the_other_instance_and_pages_here_see_the_question(offices):
    wait = offices.wait()
    assert [each.token for each in offices.east.pending()] == [wait.token]
    delivered = await offices.east.deliver("yes", "5")
    assert (delivered.token, delivered.prompt_id, wait.poll(0)) == (wait.token, "a", "yes")
    assert offices.east.pending() == ()
    offices.boxes["west"].close(wait.token)
    assert offices.shown == [("message.waiting", wait.token), ("message.closed", wait.token)]
    with pytest.raises(Gone):
        await offices.east.deliver("late", "5", prompt_id="a")


async def test_what_nobody_waits_for_and_what_several_wait_for_is_refused_here(offices):
    with pytest.raises(NotFound):
        await offices.east.deliver("x", "5")
    tokens = [offices.wait().token, offices.wait("east").token]
    with pytest.raises(Conflict) as refused:
        await offices.east.deliver("x", "5")
    assert sorted(refused.value.details["tokens"]) == sorted(tokens)
    assert (await offices.east.deliver("x", "5", tokens[0])).token == tokens[0]
    assert (await offices.east.deliver("x", "5", prompt_id="a")).token == tokens[1]


async def test_a_refusal_of_the_other_mailbox_is_the_answer(offices):
    wait = offices.wait(max_bytes=3)
    with pytest.raises(LimitExceeded) as refused:
        await offices.east.deliver("long", "5")
    assert refused.value.details == {"bytes": 4, "max_bytes": 3}
    west = offices.boxes["west"]
    west.on_change(lambda: None)  # as if the word that it is over had been lost
    west.close(wait.token)
    with pytest.raises(Gone):
        await offices.east.deliver("x", "5")


async def test_an_instance_that_does_not_answer_is_told_and_believed_no_longer_than_it_speaks(offices):
    offices.wait()
    offices.cluster.away = True
    with pytest.raises(StoreUnavailable, match="Instance west"):
        await offices.east.deliver("x", "5")
    offices.clock.now_s += BELIEVED_S + 1
    assert offices.east.pending() == ()
    offices.cluster.away = False
    offices.offices["west"].refresh()
    assert len(offices.east.pending()) == 1


async def test_a_question_is_the_same_on_the_other_instance_and_judges_answers_there_too(offices):
    wait = offices.wait(ask=Ask(AskKind.PICK, "Which?", pictures=3, least=2, most=2))
    assert offices.east.pending() == (wait.pending,)
    with pytest.raises(InputInvalid) as refused:
        await offices.east.deliver("0", "5")
    assert [fault.pointer for fault in refused.value.faults] == ["/message"]
    assert wait.poll(0) is None
    await offices.east.deliver("2,0", "5")
    assert wait.poll(0) == "2,0"


async def test_pictures_of_a_wait_elsewhere_are_asked_of_its_instance(offices):
    wait = offices.wait(ask=Ask(AskKind.APPROVE, "Good?", pictures=1))
    assert await offices.east.picture(wait.token, 0) == Picture("image/png", b"west 0")
    with pytest.raises(NotFound):
        await offices.east.picture(wait.token, 1)
    offices.boxes["west"].close(wait.token)
    with pytest.raises(Gone):
        await offices.east.picture(wait.token, 0)


def test_texts_that_are_too_much_for_a_relay_are_left_out(offices):
    texts = ["x" * (TEXTS_MAX_BYTES - 10), "short", "y" * 20]
    for text in texts:
        offices.wait(ask=Ask(AskKind.APPROVE, "Good?", text))
    assert [each.ask.text for each in offices.east.pending()] == [texts[0], "short", ""]


def test_waits_of_an_instance_of_an_earlier_version_are_texts(offices):
    wait = offices.wait()
    told = {
        name: getattr(wait.pending, name) for name in ("token", "prompt_id", "node_id", "opened_at_s", "deadline_at_s")
    }
    offices.cluster.relay("north").send("east", WAITS, json.dumps([{**told, "label": "Old?", "max_bytes": 5}]).encode())
    assert Ask(label="Old?") in [each.ask for each in offices.east.pending()]


def test_words_that_cannot_be_read_change_nothing(offices):
    other = offices.cluster.relay("north")
    for body in (b"", b"no", b"{}", b'[{"token": "x"}]', b'[{"ask": 1}]', b"[1]"):
        other.send("east", WAITS, body)
        other.send("west", ASK, body)
    assert offices.east.pending() == ()


class FakeRuns:
    """One run that is half done."""

    def __init__(self, begun=True):
        self.begun = begun

    def progress(self, job_id):
        return HALF if self.begun and job_id == "a" else None


class Looking:
    """East looks at a run of west's."""

    def __init__(self):
        self.cluster, self.clock, self.hub = FakeCluster(lambda: 0.0), HandMonotonic(), Hub()
        self.asked = []
        self.cluster.relay("west").listen(LOOK, lambda sender, *_: self.asked.append(sender))
        self.runs = FakeRuns()
        self.west = Onlookers(Hub(), self.runs, self.cluster.relay("west"), "west", self.clock)
        self.east = Onlookers(self.hub, FakeRuns(), self.cluster.relay("east"), "east", self.clock)
        self.told = []
        self.east.join(self.told.append, lambda job_id, facts: self.told.append((job_id, facts())))

    def event(self, status=JobStatus.RUNNING, origin="west", runner="west/1"):
        job = a_job(status=status, origin=origin, attempts=(Attempt(1, 7.0, runner),))
        for each in (self.east, self.west):
            each.publish((JobEvent.of(job, 8.0),))


@pytest.fixture
def looking():
    return Looking()


def test_who_asks_is_told_how_a_run_elsewhere_goes_on_until_it_ends(looking):
    looking.event()
    assert looking.asked == [], "nobody looks"
    assert looking.east.progress("a") == HALF, "the runner answers at once here"
    assert looking.east.started_at_s("a") == 7.0
    estimated_s = a_job().estimated_s
    assert [looking.east.worked_off_s(at_s) for at_s in (6.0, 7.5, 7.0 + 2 * estimated_s)] == [0.0, 0.5, estimated_s]
    looking.clock.now_s += ASK_AGAIN_S - 1
    looking.west.progressed("a")
    looking.west.previewed("a", lambda: {"node_id": "1"})
    looking.west.previewed("a", lambda: {"node_id": "2"})
    assert looking.told == ["a", "a", ("a", {"node_id": "1"})]
    looking.event(JobStatus.SUCCEEDED)
    assert (looking.east.progress("a"), looking.east.started_at_s("a"), looking.east.worked_off_s(9.0)) == (
        None,
        None,
        0.0,
    )


def test_who_asks_before_the_run_has_begun_there_is_told_when_it_goes_on(looking):
    looking.runs.begun = False
    looking.event()
    assert looking.east.progress("a") is None
    looking.runs.begun = True
    looking.west.progressed("a")
    assert looking.told == ["a"]
    assert looking.east.progress("a") == HALF


def test_who_looks_at_jobs_that_run_nowhere_takes_no_more_than_so_much(looking):
    looking.event()
    looking.east.progress("a")
    for number in range(LOOKED_AT_MAX):
        looking.cluster.relay("north").send("west", LOOK, f"no-{number}".encode())
    told = len(looking.told)
    looking.clock.now_s += 1
    looking.west.progressed("a")
    assert len(looking.told) == told, "the oldest look is forgotten; it is asked again every few seconds"


def test_who_asks_no_more_is_told_no_more(looking):
    looking.event()
    looking.east.progress("a")
    looking.clock.now_s += LOOKED_S + 1
    told = len(looking.told)
    looking.west.progressed("a")
    assert len(looking.told) == told


async def test_an_open_stream_and_the_jobs_of_this_instance_are_asked_for_from_their_start(looking):
    looking.event(origin="east")
    assert looking.asked == ["east"]
    looking.event(JobStatus.QUEUED)

    class FakeListener:
        def hear(self, told):
            pass

        def missed(self, after):
            pass

    looking.hub.add(("job", "a"), FakeListener(), passing=True)
    looking.hub.publish((JobEvent.of(a_job(status=JobStatus.RUNNING), 8.0),))
    looking.event()
    assert looking.asked == ["east", "east"]
    await asyncio.sleep(0)


def test_only_the_runner_is_believed(looking):
    looking.event(runner="north/1")
    looking.west._tell_progress("east", "a")
    assert looking.told == []
