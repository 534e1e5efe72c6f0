"""Answers to parked jobs: stored first, taken once, and what is told while a job is just being parked."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

import pytest

from expeditor.events.mailbox import Mailbox
from expeditor.events.parked_waits import ParkedWaits
from expeditor.events.post import PostOffice
from expeditor.jobs.errors import Gone, NotFound, StoreUnavailable
from expeditor.jobs.events import JobEvent
from expeditor.jobs.model import Job, JobStatus, Principal, Source
from expeditor.jobs.waits import Ask, JobWait, Parked
from tests.support.waiting import wait_until_async

WAIT = JobWait("t1", "7", Ask(label="On?"), 1.0, 60.0, 64)


class FakeAnswers:
    """A store that answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.future: Future[Job] = Future()

    def answer(self, job_id: str, token: str, message: str) -> Future[Job]:
        self.asked.append((job_id, token, message))
        return self.future


class Office:
    def __init__(self) -> None:
        self.mailbox = Mailbox(lambda: 2.0, lambda: "t1")
        self.answers, self.woken, self.told = FakeAnswers(), 0, list[Any]()
        self.parked = ParkedWaits(self.mailbox, deadline_s=0.05)
        self.parked.join(self.answers, self.wake, self.told.append)
        self.post = PostOffice(self.mailbox, lambda: 0.0, parked=self.parked)

    def wake(self) -> None:
        self.woken += 1

    def tokens(self) -> list[str]:
        return [wait.token for wait in self.post.pending()]


@pytest.fixture
def office() -> Office:
    return Office()


def job(status: JobStatus) -> Job:
    parked = Parked((WAIT,), 1.0) if status is JobStatus.WAITING else None
    return Job("job", Principal("ada"), 3, Source.SUBMIT, status, 1.0, 1.0, 0.0, 1, 0.0, 0.0, 5.0, parked=parked)


async def test_an_answer_is_accepted_once_it_is_stored(office: Office):
    office.parked.restore([job(JobStatus.WAITING), job(JobStatus.QUEUED)])
    assert office.tokens() == ["t1"]
    sent = asyncio.ensure_future(office.post.deliver("yes", "7"))
    await wait_until_async(lambda: office.answers.asked == [("job", "t1", "yes")], what="the store to be asked")
    assert (sent.done(), office.tokens(), office.woken) == (False, ["t1"], 0)
    office.answers.future.set_result(job(JobStatus.WAITING))
    assert (await sent).token == "t1"
    assert (office.tokens(), office.woken) == ([], 1)
    assert [(event["type"], event["token"]) for event in office.told] == [("message.closed", "t1")]
    with pytest.raises(Gone):
        await office.post.deliver("again", "7")
    office.mailbox.begin("job", (JobWait(*_but_answer(WAIT), answer="yes"),))
    assert office.mailbox.open("job", "7", ask=Ask(), deadline_s=9.0).poll(0) == "yes"


async def test_an_answer_that_nobody_stores_in_time_may_be_sent_again(office: Office):
    office.parked.restore([job(JobStatus.WAITING)])
    with pytest.raises(StoreUnavailable):
        await office.post.deliver("yes", "7")
    assert office.tokens() == ["t1"]
    office.answers.future.set_result(job(JobStatus.WAITING))
    await wait_until_async(lambda: office.woken == 1, what="the late commit to count")
    assert office.tokens() == []


async def test_a_refusal_of_the_store_changes_nothing(office: Office):
    office.parked.restore([job(JobStatus.WAITING)])
    office.answers.future.set_exception(StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable, match="away"):
        await office.post.deliver("yes", "7")
    assert (office.tokens(), office.woken, office.told) == (["t1"], 0, [])


async def test_an_answer_waits_for_a_job_that_is_just_being_parked(office: Office):
    office.mailbox.begin("job", ())
    office.mailbox.open("job", "7", ask=Ask(), deadline_s=58.0)
    assert office.mailbox.park("job") != ()
    sent = asyncio.ensure_future(office.post.deliver("yes", "7"))
    await asyncio.wait({sent}, timeout=0.1)
    assert office.answers.asked == []
    office.answers.future.set_result(job(JobStatus.WAITING))
    office.parked.publish((JobEvent.of(job(JobStatus.WAITING), 2.0),))
    assert (await sent).token == "t1"


async def test_an_answer_reaches_a_job_that_has_just_gone_on_for_another(office: Office):
    office.parked.restore([job(JobStatus.WAITING)])
    office.answers.future.set_exception(Gone("runs"))  # claimed already for the answer to another question
    sent = asyncio.ensure_future(office.post.deliver("yes", "7"))
    await wait_until_async(lambda: bool(office.answers.asked), what="the store to be asked")
    office.parked.begin("job", (WAIT,))
    assert (await sent).token == "t1"
    assert office.mailbox.open("job", "7", ask=Ask(), deadline_s=9.0).poll(0) == "yes"


async def test_an_answer_to_a_job_that_goes_on_while_it_is_being_parked_is_not_lost(office: Office):
    office.parked.begin("job", (WAIT,))
    assert office.mailbox.park("job") != ()
    sent = asyncio.ensure_future(office.post.deliver("yes", "7"))
    await asyncio.wait({sent}, timeout=0.05)
    office.parked.begin("job", (WAIT,))
    assert (await sent).token == "t1"


async def test_a_job_that_ends_instead_of_being_parked_asks_nobody(office: Office):
    office.mailbox.begin("job", ())
    office.mailbox.open("job", "7", ask=Ask(), deadline_s=58.0)
    office.mailbox.park("job")
    sent = asyncio.ensure_future(office.post.deliver("yes", "7"))
    await asyncio.wait({sent}, timeout=0.05)
    office.parked.publish((JobEvent.of(job(JobStatus.CANCELED), 2.0),))
    with pytest.raises(Gone):
        await sent
    assert [event["type"] for event in office.told] == ["message.closed"]
    with pytest.raises(NotFound):
        await office.post.deliver("yes", "8")


async def test_an_answer_to_a_job_that_is_ended_at_the_same_moment_comes_too_late(office: Office):
    office.parked.restore([job(JobStatus.WAITING)])
    office.answers.future.set_exception(NotFound("An ended job asks nothing."))
    sent = asyncio.ensure_future(office.post.deliver("yes", "7"))
    await wait_until_async(lambda: bool(office.answers.asked), what="the store to be asked")
    office.parked.publish((JobEvent.of(job(JobStatus.CANCELED), 2.0),))
    with pytest.raises(Gone):
        await sent


async def test_pages_hear_of_a_question_whose_run_ended_before_it_was_parked(office: Office):
    office.parked.begin("job", ())
    wait = office.mailbox.open("job", "7", ask=Ask(), deadline_s=58.0)
    assert office.parked.park("job") != ()
    assert not office.mailbox.close(wait.token), "the node leaves it to whoever parks"
    office.parked.end("job")
    assert [(event["type"], event["token"]) for event in office.told] == [("message.closed", wait.token)]
    assert office.tokens() == []


def _but_answer(wait: JobWait) -> tuple[Any, ...]:
    return tuple(getattr(wait, name) for name in JobWait.__slots__)[:6]
