"""What members of one shared queue promise each other of parked jobs: on a real Redis, with a store each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from expeditor.jobs.affinity import KEPT_AT_LEAST_S, AffinityPolicy
from expeditor.jobs.belonging import keeper_of, runner_of
from expeditor.jobs.errors import Conflict, Gone
from expeditor.jobs.model import Attempt, Cause, JobStatus
from expeditor.jobs.waits import Ask, JobWait
from expeditor.store.bullmq.ledger import View
from expeditor.store.bullmq.news import News, Quiet
from expeditor.store.bullmq.records import Kept
from tests.conformance.harness import claim, done, ending, enqueue
from tests.conformance.members import Member, Members
from tests.support.jobs import a_job
from tests.support.waiting import wait_until

STOPPED = ending(JobStatus.CANCELED, cause=Cause.INTERRUPTED)
SLACK_S = 30.0
DEADLINE_S = 20.0


@pytest.fixture
def two(member: Members) -> tuple[Member, Member]:
    policy = AffinityPolicy(SLACK_S)
    return member("a", affinity=policy, lease_s=1.0), member("b", affinity=policy, lease_s=1.0)


def question(clock: Any, token: str = "t1", for_s: float = 600.0) -> JobWait:
    return JobWait(token, "7", Ask(), clock.now_s, clock.now_s + for_s, 64)


def parked(one: Member, clock: Any, *waits: JobWait, ran_s: float = 1.0, job_id: str = "one", **fields: Any) -> None:
    """Enqueued, claimed, run for so long and parked by this member."""
    enqueue(one.store, job_id, **fields)
    assert claim(one.store).job.id == job_id
    clock.now_s += ran_s
    done(one.store.park(job_id, 1, waits or (question(clock),), STOPPED))


@pytest.mark.parametrize(("ran_s", "left_s"), [(1.0, KEPT_AT_LEAST_S), (12.0, 12.0), (500.0, SLACK_S)])
def test_who_parked_it_goes_first_and_the_others_wait_no_longer_than_it_ran(
    two: tuple[Member, Member], member: Members, ran_s: float, left_s: float
) -> None:
    (a, b), clock = two, member.clock
    parked(a, clock, ran_s=ran_s)
    clock.now_s += 100
    done(b.store.answer("one", "t1", "yes"))
    enqueue(b.store, "two")
    clock.now_s += left_s - 0.5
    assert claim(b.store).job.id == "two"
    assert done(b.store.claim()) is None
    assert not done(b.store.tick()).became_due
    clock.now_s += 0.5
    assert done(b.store.tick()).became_due, "who waits for work is woken"
    assert not done(b.store.tick()).became_due
    job = claim(b.store).job
    assert (job.id, job.attempt, job.deaths, runner_of(job)) == ("one", 1, 0, "b")
    assert [wait.answer for wait in job.parked.waits] == ["yes"]


def test_who_parked_it_claims_it_at_once(two: tuple[Member, Member], member: Members) -> None:
    (a, b), clock = two, member.clock
    parked(a, clock)
    done(b.store.answer("one", "t1", "yes"))
    assert done(b.store.claim()) is None
    assert claim(a.store).job.id == "one"
    assert done(a.store.finish("one", 1, ending())).attempts[0].boot_id == "a/1"


def test_after_a_deadline_it_is_left_to_who_parked_it_as_after_an_answer(
    two: tuple[Member, Member], member: Members
) -> None:
    (a, b), clock = two, member.clock
    parked(a, clock, question(clock, for_s=50))
    clock.now_s += 50
    assert done(b.store.claim()) is None
    clock.now_s += KEPT_AT_LEAST_S
    assert claim(b.store).job.id == "one"


def test_without_affinity_anybody_goes_on_at_once(member: Members) -> None:
    a, b = member("a"), member("b")
    parked(a, member.clock)
    done(a.store.answer("one", "t1", "yes"))
    assert claim(b.store).job.id == "one"


def test_the_first_answer_stays_whoever_took_it(two: tuple[Member, Member], member: Members) -> None:
    a, b = two
    parked(a, member.clock, question(member.clock), question(member.clock, "t2"))
    assert [wait.answer for wait in done(b.store.answer("one", "t1", "b's")).parked.waits] == ["b's", None]
    with pytest.raises(Gone):
        done(a.store.answer("one", "t1", "a's"))
    done(a.store.answer("one", "t2", "a's"))
    assert [wait.answer for wait in claim(a.store).job.parked.waits] == ["b's", "a's"]


def test_the_death_of_who_parked_it_is_none_of_the_job_and_that_of_who_goes_on_is(
    two: tuple[Member, Member], member: Members
) -> None:
    (a, b), clock = two, member.clock
    parked(a, clock)
    a.store.close()
    lasting = member("c", lease_s=1.0)
    enqueue(lasting.store, "short")
    assert claim(lasting.store).job.id == "short"
    lasting.store.close()  # its lease is over when the other's would be
    wait_until(lambda: done(b.store.tick()) and done(b.store.get("short")).deaths == 1, DEADLINE_S, what="a lost lease")
    job = done(b.store.get("one"))
    assert (job.status, job.deaths, job.attempts[0].outcome) == (JobStatus.WAITING, 0, None)
    again = member("a", "2", lease_s=1.0)
    assert done(again.store.recover()).requeued == 0
    done(b.store.answer("one", "t1", "yes"))
    done(b.store.cancel("short"))
    clock.now_s += KEPT_AT_LEAST_S
    assert claim(b.store).job.id == "one"
    b.store.close()
    wait_until(lambda: done(again.store.tick()) and done(again.store.get("one")).deaths == 1, DEADLINE_S, what="death")
    job = claim(again.store).job
    assert (job.attempt, [wait.answer for wait in job.parked.waits]) == (2, ["yes"])
    assert keeper_of(job) is None
    assert a.neighbours.lost == []


def test_who_cannot_go_on_with_it_parks_it_again_as_it_was(two: tuple[Member, Member], member: Members) -> None:
    (a, b), clock = two, member.clock
    parked(a, clock, question(clock), question(clock, "t2"))
    clock.now_s += 10
    done(a.store.answer("one", "t1", "yes"))
    clock.now_s += KEPT_AT_LEAST_S
    assert claim(b.store).job.id == "one"
    job = done(b.store.give_back("one", 1))
    assert (job.status, job.attempt, job.attempts[0].outcome) == (JobStatus.WAITING, 1, None)
    assert (keeper_of(job), runner_of(job), [wait.answer for wait in job.parked.waits]) == ("a", "a", ["yes", None])
    assert job.attempts[0].parked_s == pytest.approx(10 + KEPT_AT_LEAST_S)
    assert b.ears.told("one")[-2:] == ["job.started", "job.waiting"]
    with pytest.raises(Conflict):
        done(b.store.finish("one", 1, ending()))
    assert claim(a.store).job.id == "one"
    assert done(a.store.finish("one", 1, ending())).status is JobStatus.SUCCEEDED


def test_one_with_a_key_goes_on_where_it_was_submitted_and_nowhere_else(
    two: tuple[Member, Member], member: Members
) -> None:
    (a, b), clock = two, member.clock
    parked(a, clock, needs_secret=True, origin="a")
    done(b.store.answer("one", "t1", "yes"))
    clock.now_s += 1000
    assert done(b.store.claim()) is None
    assert claim(a.store).job.id == "one"


def test_all_hear_that_it_is_parked_and_what_it_asks(two: tuple[Member, Member], member: Members) -> None:
    a, b = two
    parked(a, member.clock)
    wait_until(lambda: b.ears.told("one")[-1:] == ["job.waiting"], DEADLINE_S, what="the word")
    assert b.ears.events[-1].job.parked.waits[0].token == "t1"


def test_a_lease_that_another_lost_who_went_on_is_not_told_to_who_parked_it() -> None:
    open_attempt = Attempt(1, 1.0, "a/1")
    lost = replace(open_attempt, boot_id="b/1", outcome=JobStatus.FAILED, cause=Cause.LEASE_LOST)
    after = a_job(attempts=(lost,))
    view = View(None, (), (), (("a", Kept(after)),), (), True)
    news = News(Quiet(), "a/1")
    ran, waited = (a_job(status=status, attempts=(open_attempt,)) for status in (JobStatus.RUNNING, JobStatus.WAITING))
    assert news.taken_in(view, {"a": ran}.get) == [("a", 1)]
    assert news.taken_in(view, {"a": waited}.get) == [], "all of it may be heard at once"
