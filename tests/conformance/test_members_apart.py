"""What members of one queue promise when something is lost: a lease, the whole queue, Redis for a while, the thread of what happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from expeditor.jobs.errors import Conflict
from expeditor.jobs.log import LogQuery
from expeditor.jobs.model import JobStatus
from expeditor.store.bullmq.keys import Keys
from tests.conformance.harness import claim, done, ending, enqueue, new_job
from tests.conformance.members import Member, Members
from tests.conformance.test_members import stop_renewing
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer(aof="always") as server:
        yield server


@pytest.fixture
def apart(server: RedisServer) -> Iterator[Members]:
    """As `member`, on a Redis that a test may kill and empty."""
    members = Members(server.url)
    yield members
    members.close()


def taken_back(one: Member, job_id: str) -> bool:
    done(one.store.tick())
    job = done(one.store.get(job_id))
    return job is not None and job.status is JobStatus.QUEUED


def test_who_lost_a_lease_is_told_once_and_its_result_is_refused(member: Members) -> None:
    a, b = member("a", lease_s=0.8), member("b", lease_s=0.8)
    enqueue(a.store, "one")
    claimed = claim(a.store)
    leases = stop_renewing(a)
    held = done(a.store.get("one"))
    wait_until(lambda: taken_back(b, "one"), what="the job back in the line")
    assert claim(b.store).attempt == 2
    # As the process comes to itself: it renews before it has heard of anything.
    leases._running = lambda: [held]  # noqa: SLF001 - what it believed when it stood still
    leases.renew()
    wait_until(lambda: a.neighbours.lost, what="the word that the lease is lost")  # another thread tells
    leases.renew()
    with pytest.raises(Conflict):
        done(a.store.finish("one", claimed.attempt, ending()))
    assert a.neighbours.lost == [("one", 1)]
    assert not b.neighbours.lost


def test_an_emptied_redis_is_told_of_and_the_queue_goes_on(apart: Members, server: RedisServer) -> None:
    a, b = apart("a"), apart("b")
    enqueue(a.store, "gone")
    claimed = claim(b.store)
    server.flush()
    enqueue(a.store, "new")
    assert "emptied or replaced" in (a.store.state().notice or "")
    assert done(a.store.get("gone")) is None
    assert claim(b.store).job.id == "new"
    assert "emptied or replaced" in (b.store.state().notice or "")
    with pytest.raises(Exception, match="no job gone"):
        done(b.store.finish("gone", claimed.attempt, ending()))
    assert done(b.store.finish("new", 1, ending())).status is JobStatus.SUCCEEDED
    assert a.neighbours.missed_spans or b.neighbours.missed_spans


def test_who_hears_nothing_of_an_emptied_redis_but_that_it_is_empty_looks_anew(
    apart: Members, server: RedisServer
) -> None:
    a = apart("a")
    enqueue(a.store, "gone")
    server.flush()
    done(a.store.tick())
    assert a.neighbours.missed_spans == [(0, 0)], "what shows the queue has to be told, though nothing happened since"
    assert done(a.store.get("gone")) is None


def test_a_run_outlives_an_outage_that_is_longer_than_its_lease(apart: Members, server: RedisServer) -> None:
    a, b = apart("a", lease_s=1.0), apart("b", lease_s=1.0)
    enqueue(a.store, "one")
    claimed = claim(a.store)
    server.kill()
    wait_until(lambda: a.store.enqueue(new_job("refused")).exception(20) is not None, what="a refusal")
    server.start()
    with server.client() as client:  # as if it had been away for longer than a lease
        for lock in client.scan_iter("*:lock"):
            client.delete(lock)
    wait_until(lambda: b.store.tick().exception(20) is None, what="the way back")
    assert done(b.store.get("one")).status is JobStatus.RUNNING
    assert done(a.store.finish("one", claimed.attempt, ending())).status is JobStatus.SUCCEEDED
    wait_until(lambda: b.ears.told("one")[-1:] == ["job.succeeded"], what="the other to have heard")


def test_who_is_too_far_behind_is_told_what_it_missed(member: Members, redis_url: str) -> None:
    a, b = member("a"), member("b")
    enqueue(a.store, "first")
    wait_until(lambda: len(b.ears.events) == 1, what="the first")
    deafen(b)
    for number in range(5):
        enqueue(a.store, f"j{number}")
    with redis.Redis.from_url(redis_url) as client:  # as after a thousand commits more
        client.xtrim(Keys(a.namespace)("changes"), maxlen=0, approximate=False)
    enqueue(b.store, "mine")
    assert b.neighbours.missed_spans == [(1, 6)]
    assert [event.position for event in b.ears.events] == [1, 7]
    assert claim(b.store).job.id == "first"


def test_ranks_begin_anew_when_scores_leave_their_range(member: Members, redis_url: str) -> None:
    a, b = member("a"), member("b")
    enqueue(a.store, "early")
    keys = Keys(a.namespace)
    with redis.Redis.from_url(redis_url) as client:
        head: Any = client
        before = float(head.hget(keys("meta"), "epoch"))
        # A queue that has gone on for a year since its ranks were laid out.
        done(b.store.tick())
        head.hset(keys("meta"), "epoch", repr(before - 4_000_000))
        late = member("late")
        enqueue(late.store, "late", priority=1)
        enqueue(late.store, "urgent", priority=9)
        assert float(head.hget(keys("meta"), "epoch")) > before - 1_000_000
        prefix = keys.queue("default")
        shown = [name.decode() for name in head.zrange(prefix + "prioritized", 0, -1)]
    assert shown == [f"j{done(late.store.get(name)).seq}" for name in ("urgent", "early", "late")]  # type: ignore[union-attr]
    assert [claim(a.store).job.id for _ in range(3)] == ["urgent", "early", "late"]


def deafen(one: Member) -> None:
    """As behind a cut wire: it hears no word any more."""
    store: Any = one.store
    store._listener.stop()


def test_the_log_is_cut_off_when_it_is_too_long_and_says_so(member: Members) -> None:
    a, b = member("a", events_kept=100), member("b", events_kept=100)
    for at in range(10):
        done((a, b)[at % 2].store.enqueue_all(None, [new_job(f"{at}-{number}") for number in range(60)]))
    page = done(b.store.events(LogQuery(limit=1000)))
    assert 100 <= len(page.events) <= 300
    assert page.forgotten == page.events[0].position - 1
    assert page.events[-1].position == 600
    # Its own events are numbered on, whatever was cut off.
    again = member("a", "2", events_kept=100)
    enqueue(again.store, "next")
    assert again.ears.events[-1].position == 601
