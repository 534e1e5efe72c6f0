"""runtime/membership.py: heartbeats, wishes, names that are taken, and what is known of the others; on the fake cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from expeditor.intake.flow import Flow
from expeditor.jobs.awaiting import Awaiter
from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.instances import Capabilities, Instance, InstanceState, Role
from expeditor.jobs.model import Attempt, Job, JobStatus
from expeditor.runtime.lives import Lives
from expeditor.runtime.members import Members
from expeditor.runtime.membership import Membership, SharedInstances, Standing
from expeditor.store.instances import GONE_AFTER_S
from expeditor.store.records import JobPage, JobQuery
from tests.conformance.harness import HandClock
from tests.support.fake_cluster import FakeCluster
from tests.support.jobs import a_job
from tests.support.waiting import wait_until

ACTIVE, PAUSED, DRAINING, GONE = InstanceState


class Made:
    """One instance on a cluster."""

    def __init__(self, cluster: FakeCluster, name: str, folder: Path, life: str = "1", **about: object) -> None:
        self.cluster, self.name = cluster, name
        self.flow, self.woken, self.refreshed = Flow(), 0, 0
        self.members = Members(name, ("default",), works=True)
        self.can = Capabilities(frozenset({"A"}), frozenset())
        self.boot_id = f"{name}/{life}"
        self.told: dict[str, object] = about
        self.lives = Lives(folder, name)
        self.membership = Membership(
            registry=cluster.registry(),
            relay=cluster.relay(name),
            members=self.members,
            standing=Standing(self.about, lambda: self.can, self.refresh),
            flow=self.flow,
            wake=self.wake,
            lives=self.lives,
            awaiter=Awaiter(5.0),
            heartbeat_s=0.01,
            gone_after_s=0.05,
        )
        self.jobs: list[Job] = []
        self.all = SharedInstances(cluster.registry(), self.page, Awaiter(5.0), name, self.membership.hear)

    def about(self) -> Instance:
        made = Instance(self.name, self.boot_id, f"http://{self.name}", "1", "2", 0.0, 0.0, state=self.flow.state)
        return replace(made, **self.told)

    def page(self, query: JobQuery) -> Future[JobPage]:
        found: Future[JobPage] = Future()
        found.set_result(JobPage(tuple(job for job in self.jobs if job.status in query.statuses), None))
        return found

    async def refresh(self) -> None:
        self.refreshed += 1

    def wake(self) -> None:
        self.woken += 1


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster(HandClock())


@pytest.fixture
def make(cluster: FakeCluster, tmp_path: Path) -> Callable[..., Made]:
    made: list[Made] = []

    def one(name: str, life: str = "1", folder: str = "", **about: object) -> Made:
        made.append(Made(cluster, name, tmp_path / folder, life, **about))
        return made[-1]

    yield one
    for each in made:
        each.lives.close()


def seen(made: Made) -> dict[str, InstanceState]:
    return {name: each.state for name, each in made.members.picture.instances.items()}


async def test_members_know_each_other_and_what_each_can_run(make):
    a, b = make("a"), make("b")
    b.can = Capabilities(frozenset({"B"}), frozenset({"x.ckpt"}))
    await a.membership.join()
    await b.membership.join()
    await a.membership.beat()

    assert seen(a) == seen(b) == {"a": ACTIVE, "b": ACTIVE}
    assert a.members.picture.capabilities["b"] == b.can
    b.can = Capabilities(frozenset({"B", "C"}))
    await b.membership.beat()
    await a.membership.beat()
    assert a.members.picture.capabilities["b"] == b.can
    assert a.refreshed == 2


async def test_what_each_runs_is_what_the_queue_says_now_not_what_was_told_with_a_heartbeat(make):
    a, b = make("a", running=("over",)), make("b")
    await a.membership.join()
    await b.membership.join()
    a.jobs = [
        a_job(id="3", status=JobStatus.RUNNING, attempts=(Attempt(1, 0.0, "a/1"), Attempt(2, 1.0, "b/1"))),
        a_job(id="2", status=JobStatus.SUCCEEDED, attempts=(Attempt(1, 0.0, "a/1"),)),
        a_job(id="1", status=JobStatus.CANCELING, attempts=(Attempt(1, 0.0, "b/1"),)),
    ]
    assert {each.name: each.running for each in await a.all.all()} == {"a": (), "b": ("1", "3")}


async def test_what_each_can_run_is_as_it_told_last(make):
    a, b = make("a"), make("b")
    b.can = Capabilities(frozenset({"B"}), frozenset({"x.ckpt"}))
    await a.membership.join()
    await b.membership.join()
    assert (await a.all.capabilities("b"), await a.all.capabilities("nobody")) == (b.can, None)


async def test_one_that_leaves_is_gone_at_once_and_may_stay_after_all(make):
    a, b = make("a"), make("b")
    await a.membership.join()
    await b.membership.join()
    b.membership.leave()
    await a.membership.beat()
    assert seen(a) == {"a": ACTIVE, "b": GONE}

    watching = asyncio.create_task(b.membership.watch())
    b.membership.stay()
    await asyncio.to_thread(wait_until, lambda: b.refreshed > 0)
    await a.membership.beat()
    assert seen(a)["b"] is ACTIVE
    watching.cancel()


async def test_a_wish_is_obeyed_at_once_and_told_with_the_next_heartbeat(make):
    a, b = make("a"), make("b")
    await a.membership.join()
    await b.membership.join()

    await a.all.wish("b", PAUSED)
    assert (b.flow.state, b.flow.claims, b.woken) == (PAUSED, False, 1)
    b.flow.check()
    await b.membership.beat()
    await a.membership.beat()
    assert seen(a)["b"] is PAUSED
    await a.all.wish("a", DRAINING)
    assert a.flow.draining
    await a.all.wish("a", ACTIVE)
    assert a.flow.claims


async def test_a_wish_that_no_word_brought_is_heard_with_the_heartbeat(make, cluster):
    a, b = make("a"), make("b")
    await a.membership.join()
    await b.membership.join()
    cluster.relays.clear()
    await a.all.wish("b", DRAINING)
    assert b.flow.claims
    await b.membership.beat()
    assert b.flow.draining
    await a.all.wish("b", ACTIVE)
    await b.membership.beat()
    assert b.flow.claims


async def test_what_an_instance_is_by_its_own_hand_no_heartbeat_undoes(make):
    a = make("a")
    await a.membership.join()
    a.flow.drain()
    await a.membership.beat()
    assert a.flow.draining


async def test_a_wish_to_pause_survives_a_restart(make):
    first = make("a")
    await first.membership.join()
    await first.all.wish("a", PAUSED)
    first.membership.leave()
    first.lives.close()
    again = make("a", life="2")
    await again.membership.join()
    assert again.flow.state is PAUSED


async def test_the_second_of_one_name_stays_outside(make):
    first, second = make("a"), make("a", life="2", folder="elsewhere")
    await first.membership.join()
    with pytest.raises(StoreUnavailable, match=r"another living instance of the queue is called a \(http://a\)"):
        await second.membership.join()
    await first.membership.beat()
    assert first.flow.claims


async def test_a_life_that_was_killed_gives_its_name_to_the_next_at_once(make, cluster):
    first = make("a")
    await first.membership.join()
    first.lives.close()  # as the end of its process does
    second = make("a", life="2")
    await second.membership.join()
    assert cluster.members["a"].boot_id == "a/2"


async def test_one_whose_name_was_taken_meanwhile_stands_aside_until_it_is_free(make, cluster):
    first = make("a")
    await first.membership.join()
    cluster.clock.now_s += GONE_AFTER_S + 1  # as if it had been stopped
    second = make("a", life="2", folder="elsewhere")
    await second.membership.join()

    await first.membership.beat()
    assert not first.flow.claims
    with pytest.raises(StoreUnavailable, match="stands aside"):
        first.flow.check()
    second.membership.leave()
    await first.membership.beat()
    assert first.flow.claims
    first.flow.check()


async def test_a_heartbeat_that_is_not_stored_changes_nothing(make, cluster):
    a = make("a")
    await a.membership.join()
    cluster.away = True
    await a.membership.beat()
    assert a.flow.claims
    with pytest.raises(StoreUnavailable):
        await a.all.wish("a", PAUSED)
    assert a.flow.claims
    a.membership.leave()


class TestPicture:
    """runtime/members.py."""

    async def joined(self, *made: Made) -> None:
        for each in made:
            await each.membership.join()
        for each in made:
            await each.membership.beat()

    async def test_pools_are_those_that_workers_serve_or_served_today(self, make, cluster):
        a = make("a")
        b = make("b", pools=("gpu", "default"))
        c = make("c", pools=("idle",), roles=(Role.API,))
        await self.joined(a, b, c)
        b.membership.leave()
        await a.membership.beat()
        assert set(a.members.pools()) == {"default", "gpu"}
        assert Members("x", ("gpu",), works=True).usual() == "gpu"
        assert Members("x", ("gpu",), works=False).usual() == "default"
        assert a.members.usual() == "default"

    async def test_why_nobody_runs_a_job(self, make):
        a = make("a")
        b = make("b", pools=("gpu",))
        b.can = Capabilities(frozenset({"A", "B"}), frozenset({"x.ckpt"}))
        await self.joined(a, b)
        why = a.members.why_nobody
        assert why("default") is None
        assert why("other") == "No living instance serves the pool other."
        assert (
            why("default", (frozenset({"A", "B"}), frozenset({"x.ckpt"})))
            == "No living instance can run it: a lacks B."
        )
        assert why("gpu", (frozenset({"A", "B"}), frozenset({"x.ckpt", "nobody's.ckpt"}))) is None
        assert (why("default", only="a"), why("gpu", only="b")) == (None, None)
        assert "Only b can run it, which has its partner key" in (why("default", only="b") or "")
        await a.all.wish("b", DRAINING)
        await b.membership.beat()
        await a.membership.beat()
        assert why("gpu", only="b") == "Nobody starts it now: b is draining."
        assert why("gpu") == "Nobody starts it now: b is draining."
        b.membership.leave()
        await a.membership.beat()
        assert why("gpu") == "No living instance serves the pool gpu."

    async def test_machines_are_those_that_start_jobs_now(self, make):
        a = make("a")
        assert a.members.machines() == 1, "nobody was heard of yet"
        b = make("b", pools=("gpu", "default"))
        c = make("c", roles=(Role.API,))
        await self.joined(a, b, c)
        assert [a.members.machines(pool) for pool in (None, "default", "gpu", "idle")] == [2, 2, 1, 1]
        await a.all.wish("b", DRAINING)
        await b.membership.beat()
        await a.membership.beat()
        assert a.members.machines() == 1

    async def test_how_busy_all_are_is_the_mean_of_the_living_workers(self, make):
        a, b, c = make("a", busy_ratio=0.9), make("b", busy_ratio=0.4), make("c", roles=(Role.API,), busy_ratio=0.0)
        assert a.members.busy_ratio(0.8) == 0.8
        await self.joined(a, b, c)
        assert a.members.busy_ratio(0.8) == pytest.approx(0.6)

    async def test_who_is_able_and_what_is_missing_here(self, make):
        a = make("a")
        b = make("b", pools=("gpu",))
        b.can = Capabilities(frozenset({"A", "B"}), frozenset({"x.ckpt"}))
        await self.joined(a, b)
        needs = frozenset({"A", "B"}), frozenset({"x.ckpt"})
        assert [each.name for each in a.members.able(None, *needs)] == ["b"]
        assert a.members.able("default", *needs) == ()
        assert a.members.missing(frozenset({"A"}), frozenset({"x.ckpt", "nobody's.ckpt"})) == {"x.ckpt"}
        assert a.members.missing(frozenset({"A", "C"}), frozenset()) == {"C"}
        assert b.members.missing(*needs) == frozenset()
        assert [each.name for each in a.members.able_elsewhere(*needs)] == ["b"]
        assert b.members.able_elsewhere(*needs) == ()

    async def test_what_each_lacks_and_who_had_it(self, make):
        a = make("a")
        b = make("b", pools=("gpu",))
        b.can = Capabilities(frozenset({"A", "B"}), frozenset())
        await self.joined(a, b)
        assert a.members.lacks(frozenset({"A", "B", "C"})) == {"a": {"B", "C"}, "b": {"C"}}
        assert a.members.had("B") == ()
        b.membership.leave()
        await a.membership.look_around()
        assert a.members.lacks(frozenset({"B"})) == {"a": {"B"}}
        assert [each.name for each in a.members.had("B")] == ["b"]
        assert a.members.had("C") == ()


async def test_instances_that_order_the_queue_in_other_ways_are_told_of_once_and_until_they_do_alike(make, caplog):
    a, b, old = make("a", order="strict=False;ageing_s=100.0"), make("b", order="strict=True;ageing_s=100.0"), make("c")
    for each in (a, b, old):
        await each.membership.join()
    for _ in range(2):
        await a.membership.beat()
    said = a.members.at_odds()
    assert said is not None
    assert said.startswith(
        "The instances do not order the queue alike: this one by strict=False;ageing_s=100.0, b by strict=True;ageing_s=100.0. "
    )
    assert [
        record.getMessage() for record in caplog.records if getattr(record, "event", "") == "instances.at_odds"
    ].count(said) == 1
    assert old.members.at_odds() is None, "it does not know its own"
    b.membership.leave()
    await a.membership.beat()
    assert a.members.at_odds() is None
    b.told = {"order": "strict=False;ageing_s=100.0"}
    b.membership.stay()
    await b.membership.beat()
    await a.membership.beat()
    assert (seen(a)["b"], a.members.at_odds(), b.members.at_odds()) == (ACTIVE, None, None)
