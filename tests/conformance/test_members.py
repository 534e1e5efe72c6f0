"""What two members of one shared queue promise each other: on a real Redis, with a store each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis

from expeditor.jobs.errors import Conflict
from expeditor.jobs.model import Cause, JobStatus
from expeditor.store.records import JobQuery
from tests.conformance.harness import HandClock, claim, done, ending, enqueue
from tests.conformance.members import Member
from tests.support.waiting import wait_until
from tests.unit.dispatch.made import Bench

DEADLINE_S = 20.0


def positions(member: Member) -> list[int]:
    return [event.position for event in member.ears.events]


def test_each_sees_what_the_other_did(member: Callable[..., Member]) -> None:
    a, b = member("a"), member("b")
    enqueue(a.store, "one")
    assert done(b.store.get("one")) is not None
    assert claim(b.store).job.id == "one"
    job = done(a.store.cancel("one"))
    assert job.status is JobStatus.CANCELING
    assert done(b.store.finish("one", 1, ending())).status is JobStatus.CANCELED
    assert [job.id for job in done(a.store.page(JobQuery(statuses=(JobStatus.CANCELED,)))).jobs] == ["one"]


def test_metadata_set_where_the_job_runs_is_seen_and_kept_by_the_others(member: Callable[..., Member]) -> None:
    a, b = member("a"), member("b")
    enqueue(a.store, "one", metadata={"stage": "none"})
    claim(b.store)
    done(b.store.set_metadata("one", 1, {"stage": "painted"}))
    assert done(a.store.get("one")).metadata == {"stage": "painted"}
    # A change of another member's, which knows the job from before, must not bring the old value back.
    assert done(a.store.cancel("one")).metadata == {"stage": "painted"}
    done(b.store.set_metadata("one", 1, {"more": "x"}))
    assert done(b.store.finish("one", 1, ending())).metadata == {"stage": "painted", "more": "x"}
    found = done(a.store.page(JobQuery(labels=(("stage", "painted"), ("more", "x"))))).jobs
    assert [job.id for job in found] == ["one"]
    assert not done(a.store.page(JobQuery(labels=(("stage", "none"),)))).jobs


def test_every_job_is_claimed_once_by_claimers_that_race(member: Callable[..., Member]) -> None:
    members = [member(name) for name in ("a", "b", "c")]
    for number in range(60):
        enqueue(members[number % 3].store, f"j{number}", principal=f"p{number % 4}")
    taken: list[str] = []

    def work(one: Member) -> None:
        while (claimed := done(one.store.claim())) is not None:
            taken.append(claimed.job.id)
            done(one.store.finish(claimed.job.id, claimed.attempt, ending()))

    threads = [threading.Thread(target=work, args=(one,)) for one in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert sorted(taken) == sorted(f"j{number}" for number in range(60))


def test_what_is_told_and_heard_is_the_whole_log_in_order(member: Callable[..., Member]) -> None:
    a, b = member("a"), member("b")

    def submit(one: Member, name: str) -> None:
        for number in range(40):
            enqueue(one.store, f"{name}{number}")

    threads = [threading.Thread(target=submit, args=(one, name)) for one, name in ((a, "a"), (b, "b"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    for one in (a, b):
        wait_until(lambda one=one: len(one.ears.events) == 80, DEADLINE_S, what="all events")
        assert positions(one) == list(range(1, 81))
        assert not one.neighbours.missed_spans


def test_who_is_idle_is_woken(member: Callable[..., Member]) -> None:
    a, b = member("a"), member("b")
    assert done(b.store.claim()) is None
    before = b.neighbours.woken
    enqueue(a.store, "one")
    wait_until(lambda: b.neighbours.woken > before, DEADLINE_S, what="the word")
    assert claim(b.store).job.id == "one"


def test_a_lease_that_was_lost_gives_the_job_to_another_and_refuses_the_late_result(
    member: Callable[..., Member],
) -> None:
    a, b = member("a", lease_s=1.0), member("b", lease_s=1.0)
    enqueue(a.store, "one")
    claimed = claim(a.store)
    stop_renewing(a)

    def taken_back() -> bool:
        done(b.store.tick())
        job = done(b.store.get("one"))
        return job is not None and job.status is JobStatus.QUEUED

    wait_until(taken_back, DEADLINE_S, what="the job back in the line")
    again = claim(b.store)
    assert (again.job.id, again.attempt) == ("one", 2)
    assert again.job.attempts[0].cause is Cause.LEASE_LOST
    with pytest.raises(Conflict):
        done(a.store.finish("one", claimed.attempt, ending()))
    assert done(b.store.finish("one", 2, ending())).status is JobStatus.SUCCEEDED


def test_a_lease_is_kept_while_its_holder_lives(member: Callable[..., Member]) -> None:
    a, b = member("a", lease_s=1.0), member("b", lease_s=1.0)
    enqueue(a.store, "one")
    claimed = claim(a.store)
    lasting = threading.Event()
    for _ in range(25):
        lasting.wait(0.1)
        done(b.store.tick())
    assert done(b.store.get("one")).status is JobStatus.RUNNING
    assert done(a.store.finish("one", claimed.attempt, ending())).status is JobStatus.SUCCEEDED


def test_who_lost_a_lease_hears_so(member: Callable[..., Member]) -> None:
    a, b = member("a", lease_s=0.8), member("b", lease_s=0.8)
    enqueue(a.store, "one")
    claim(a.store)
    leases = stop_renewing(a)
    wait_until(
        lambda: done(b.store.tick()) and done(b.store.get("one")).status is JobStatus.QUEUED, DEADLINE_S, what="back"
    )
    claim(b.store)
    held = done(a.store.get("one"))
    assert held is not None
    leases.renew()
    wait_until(lambda: positions(a) == positions(b), DEADLINE_S, what="both to have heard the same")


def test_a_restart_takes_back_only_its_own(member: Callable[..., Member]) -> None:
    a, b = member("a"), member("b")
    for name in ("one", "two"):
        enqueue(a.store, name)
    assert claim(a.store).job.id == "one"
    assert claim(b.store).job.id == "two"
    a.store.close()
    again = member("a", "2")
    recovered = done(again.store.recover())
    assert recovered.requeued == 1
    assert done(b.store.get("one")).status is JobStatus.QUEUED
    assert done(b.store.get("two")).status is JobStatus.RUNNING
    assert claim(again.store).job.id == "one"


def test_a_pool_is_served_by_those_who_serve_it(member: Callable[..., Member]) -> None:
    a, b, both = member("a", pools=["default"]), member("b", pools=["big"]), member("c", pools=["default", "big"])
    enqueue(a.store, "small")
    enqueue(a.store, "large", pool="big", priority=9)
    assert claim(a.store).job.id == "small"
    assert done(a.store.claim()) is None
    enqueue(a.store, "late", priority=1)
    assert claim(both.store).job.id == "large"
    assert done(b.store.claim()) is None
    assert claim(both.store).job.id == "late"


def test_a_job_that_needs_a_key_is_claimed_where_the_key_is(member: Callable[..., Member]) -> None:
    a, b = member("a"), member("b")
    enqueue(a.store, "keyed", priority=9, needs_secret=True, origin="a")
    enqueue(a.store, "plain", origin="a")
    place = wait_until(lambda: done(b.store.place("keyed")), DEADLINE_S, what="the word of the other")
    assert place.position == 1
    assert claim(b.store).job.id == "plain"
    assert done(b.store.claim()) is None
    first = claim(a.store)
    assert first.job.id == "keyed"
    done(a.store.retry("keyed", first.attempt, ending(JobStatus.FAILED, cause=Cause.UPSTREAM_UNAVAILABLE), None))
    assert done(b.store.claim()) is None
    later = member("b", "2")
    assert done(later.store.claim()) is None, "what was read at a start is no other"
    assert claim(a.store).job.id == "keyed"


def test_a_key_that_was_lost_with_its_instance_fails_the_job_when_that_is_back(member: Callable[..., Member]) -> None:
    a, b = member("a", lease_s=1.0), member("b", lease_s=1.0)
    enqueue(a.store, "keyed", needs_secret=True, origin="a")
    claim(a.store)
    stop_renewing(a)
    a.store.close()
    wait_until(
        lambda: done(b.store.tick()) and done(b.store.get("keyed")).status is JobStatus.QUEUED, DEADLINE_S, what="back"
    )
    assert done(b.store.claim()) is None
    Bench(b.store, HandClock()).dispatcher.recover(here="b")
    assert done(b.store.get("keyed")).status is JobStatus.QUEUED
    again = member("a", "2")
    assert Bench(again.store, HandClock()).dispatcher.recover(here="a").waiting == ()
    job = done(b.store.get("keyed"))
    assert (job.status, job.cause) == (JobStatus.FAILED, Cause.SECRET_LOST)


def test_a_pause_holds_for_all(member: Callable[..., Member]) -> None:
    a, b = member("a"), member("b")
    done(a.store.pause(True))
    enqueue(a.store, "one")
    assert done(b.store.claim()) is None
    assert done(b.store.summary()).paused
    done(b.store.pause(False))
    assert claim(a.store).job.id == "one"


def stop_renewing(one: Member) -> Any:
    """As if its process stood still; gives what renews."""
    leases: Any = one.store.leases
    leases.stop()
    return leases


def test_bullmq_shows_what_the_queue_holds(
    member: Callable[..., Member], redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    a = member("a")
    client: Any = redis.Redis.from_url(redis_url, decode_responses=True)
    prefix = next(iter(client.scan_iter(f"{{{a.namespace}}}:meta"))).removesuffix("meta") + "bull:default:"

    def shown() -> dict[str, int]:
        counts = {name: client.zcard(prefix + name) for name in ("prioritized", "delayed", "completed", "failed")}
        return {**counts, "active": client.llen(prefix + "active"), "wait": client.llen(prefix + "wait")}

    for number in range(6):
        enqueue(a.store, f"j{number}", priority=1 + number)
    enqueue(a.store, "held")
    done(a.store.hold("held", True))
    enqueue(a.store, "later", not_before_s=HandClock().now_s + 600)
    assert shown() == {"prioritized": 6, "delayed": 2, "completed": 0, "failed": 0, "active": 0, "wait": 0}
    line = [int(name[1:]) for name in client.zrange(prefix + "prioritized", 0, -1)]
    assert line == [6, 5, 4, 3, 2, 1]
    first, second = claim(a.store), claim(a.store)
    assert client.get(f"{prefix}j{first.job.seq}:lock") == "a/1#1"
    done(a.store.finish(first.job.id, 1, ending()))
    done(a.store.retry(second.job.id, 1, ending(JobStatus.FAILED, cause=Cause.NODE_ERROR), None))
    done(a.store.cancel("j0"))
    done(a.store.hold("held", False))
    third = claim(a.store)
    done(a.store.finish(third.job.id, third.attempt, ending(JobStatus.FAILED, cause=Cause.NODE_ERROR)))
    claim(a.store)
    assert shown() == {"prioritized": 3, "delayed": 1, "completed": 1, "failed": 1, "active": 1, "wait": 0}
    assert "not in step" not in caplog.text
    client.close()
