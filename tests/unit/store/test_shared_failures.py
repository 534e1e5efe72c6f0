"""The shared queue on a real Redis that is killed, stopped, cut off, filled, emptied: what was accepted is there, nothing twice, and
whatever was refused was not stored.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from expeditor.jobs.errors import Conflict, StoreUnavailable
from expeditor.jobs.model import JobStatus
from tests.conformance.harness import claim, done, ending, enqueue, new_job
from tests.support.certificates import make_certificates
from tests.support.cut_wire import CutWire
from tests.support.redis_server import RedisServer
from tests.support.store_member import Member
from tests.support.waiting import wait_until

SOON_S = 6.0
"""Two seconds are promised; the machine that runs this may be busy."""


class Servers(ExitStack):
    """Real servers, and wires to them, that outlive the members of a test."""

    def redis(self, **options: Any) -> RedisServer:
        return self.enter_context(RedisServer(**options))

    def wire(self, server: RedisServer) -> CutWire:
        return self.enter_context(CutWire(server.port))


@pytest.fixture
def servers() -> Iterator[Servers]:
    with Servers() as made:
        yield made


@pytest.fixture
def member(servers: Servers) -> Iterator[Any]:
    """Makes members, and closes them while their server is still there."""
    made: list[Member] = []

    def join(url: str, *given: Any, **named: Any) -> Member:
        made.append(Member(url, *given, **named))
        return made[-1]

    yield join
    for one in made:
        one.close()


def refused_soon(one: Member, job_id: str) -> StoreUnavailable:
    """A submit that must be refused, soon."""
    began_s = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        enqueue(one.store, job_id)
    assert time.monotonic() - began_s < SOON_S
    return caught.value


def accepted_at_last(one: Member, job_id: str) -> None:
    """Submit until it is taken: under its own id, so that it cannot be in twice."""

    def taken() -> bool:
        try:
            enqueue(one.store, job_id)
        except StoreUnavailable:
            return False
        return True

    wait_until(taken, poll_s=0.1)


def waiting(one: Member) -> list[str]:
    """The ids of all that waits, in their order."""
    return [job.id for job, _ in done(one.store.recover()).waiting]


def test_redis_killed_and_back_loses_nothing_that_was_accepted(servers: Servers, member: Any) -> None:
    server = servers.redis(
        aof="always"
    )  # with everysec Redis may answer before it has written, while a flush takes long
    one = member(server.url)
    accepted: list[str] = []
    for round_ in range(3):
        for number in range(20):
            enqueue(one.store, f"{round_}-{number}")
            accepted.append(f"{round_}-{number}")
        server.kill()
        error = refused_soon(one, f"refused-{round_}")
        assert "127.0.0.1" not in error.message, "clients need not know where it is"
        assert one.store.state().error == "The shared store cannot be used: nobody listens there."
        server.start()
        wait_until(lambda: probed(one))
        assert one.store.state().error is None
    other = member(server.url, "gpu2")
    assert sorted(waiting(other)) == sorted(accepted)


def probed(one: Member) -> bool:
    """Whether the store can be written again."""
    try:
        done(one.store.probe())
    except StoreUnavailable:
        return False
    return True


def test_a_running_job_is_settled_when_redis_is_back(servers: Servers, member: Any) -> None:
    server = servers.redis()
    one = member(server.url)
    enqueue(one.store, "a")
    claimed = claim(one.store)
    server.kill()
    with pytest.raises(StoreUnavailable):
        done(one.store.finish("a", claimed.attempt, ending()))
    server.start()
    wait_until(lambda: probed(one))
    ended = done(one.store.finish("a", claimed.attempt, ending()))
    assert (ended.status, len(ended.attempts)) == (JobStatus.SUCCEEDED, 1)


def test_a_redis_that_hangs_refuses_soon_and_what_was_refused_is_not_stored(servers: Servers, member: Any) -> None:
    server = servers.redis()
    one = member(server.url)
    enqueue(one.store, "before")
    server.stop_world()
    for number in range(3):
        refused_soon(one, f"refused-{number}")
    assert "does not answer in time" in str(one.store.state().error)
    server.go_on()
    accepted_at_last(one, "after")
    # What Redis had in its ears when it stopped comes too late to be done.
    assert waiting(member(server.url, "gpu2")) == ["before", "after"]
    assert one.store.state().error is None


def test_those_who_ask_while_redis_hangs_are_all_refused_soon(servers: Servers, member: Any) -> None:
    server = servers.redis()
    one = member(server.url)
    enqueue(one.store, "before")
    server.stop_world()
    began_s = time.monotonic()
    futures = [one.store.enqueue(new_job(f"one-{number}")) for number in range(5)]
    wait_until(lambda: one.store.state().pending_writes)
    futures += [one.store.enqueue(new_job(f"two-{number}")) for number in range(300)]
    for future in futures:
        with pytest.raises(StoreUnavailable):
            done(future)
    assert time.monotonic() - began_s < SOON_S
    server.go_on()


def test_a_wire_that_is_cut_refuses_soon_and_others_go_on(servers: Servers, member: Any) -> None:
    server = servers.redis()
    wire = servers.wire(server)
    cut, other = member(f"redis://127.0.0.1:{wire.port}"), member(server.url, "gpu2")
    enqueue(cut.store, "before")
    wire.cut()
    refused_soon(cut, "refused")
    enqueue(other.store, "meanwhile")
    wire.mend()
    accepted_at_last(cut, "after")
    assert waiting(other) == ["before", "meanwhile", "after"]
    assert done(cut.store.get("meanwhile")) is not None


def test_an_answer_that_is_lost_stores_nothing_twice(servers: Servers, member: Any) -> None:
    server = servers.redis()
    wire = servers.wire(server)
    cut, other = member(f"redis://127.0.0.1:{wire.port}"), member(server.url, "gpu2")
    enqueue(cut.store, "before")
    wire.cut_answers()
    refused_soon(cut, "unknown")
    wire.mend()
    # Refused, and yet it may be there: asked for again under its id, it is in once.
    with suppress(Conflict):
        accepted_at_last(cut, "unknown")
    assert waiting(other) == ["before", "unknown"]


def test_a_full_redis_refuses_leaves_nothing_half_done_and_works_again(servers: Servers, member: Any) -> None:
    server = servers.redis()
    one = member(server.url)
    enqueue(one.store, "before")
    with server.client() as client:
        facts: Any = client.info("memory")
        client.config_set("maxmemory", facts["used_memory"] // 2)
        error = refused_soon(one, "refused")
        assert "it is full (maxmemory)" in error.message
        assert "full" in str(one.store.state().error)
        assert waiting(one) == ["before"]
        client.config_set("maxmemory", 0)
    accepted_at_last(one, "after")
    assert waiting(member(server.url, "gpu2")) == ["before", "after"]


def test_a_full_redis_lets_what_is_there_run_end_and_go(servers: Servers, member: Any) -> None:
    server = servers.redis()
    one = member(server.url)
    enqueue(one.store, "old")
    done(one.store.finish("old", claim(one.store).attempt, ending()))
    enqueue(one.store, "there")
    with server.client() as client:
        facts: Any = client.info("memory")
        client.config_set("maxmemory", facts["used_memory"] // 2)
        refused_soon(one, "refused")
        claimed = claim(one.store)
        assert done(one.store.finish("there", claimed.attempt, ending())).status is JobStatus.SUCCEEDED
        assert done(one.store.prune(["old"])) == 1
        # Nothing of that proves that something new would be taken.
        assert "full" in str(one.store.state().error)
        both = [one.store.enqueue(new_job("refused")), one.store.prune(["there"])]
        with pytest.raises(StoreUnavailable):
            done(both[0])
        assert done(both[1]) == 1


def test_an_emptied_redis_is_noticed_and_told_and_the_queue_goes_on(servers: Servers, member: Any) -> None:
    server = servers.redis()
    one, other = member(server.url), member(server.url, "gpu2")
    for number in range(5):
        enqueue(one.store, f"lost-{number}")
    server.flush()
    done(one.store.tick())
    assert "emptied or replaced" in str(one.store.state().notice)
    assert waiting(one) == []
    enqueue(one.store, "after")
    assert waiting(other) == ["after"]
    assert "emptied or replaced" in str(other.store.state().notice)


def test_tls_and_password_carry_the_queue(servers: Servers, member: Any, tmp_path: Path) -> None:
    server = servers.redis(tls=make_certificates(tmp_path), password="pw")
    one, other = member(server.url), member(server.url, "gpu2")
    enqueue(one.store, "a")
    claimed = claim(other.store)
    done(other.store.finish("a", claimed.attempt, ending()))
    job = done(one.store.get("a"))
    assert job is not None
    assert job.status is JobStatus.SUCCEEDED


def test_members_whose_clocks_are_hours_apart_agree(servers: Servers, member: Any) -> None:
    server = servers.redis()
    early, late = member(server.url, "early", off_s=-3600.0), member(server.url, "late", off_s=3600.0)
    first = enqueue(early.store, "1")
    second = enqueue(late.store, "2")
    assert 0 <= second.queued_at_s - first.queued_at_s < 60
    assert abs(first.queued_at_s - time.time()) < 60
    third = done(early.store.enqueue(new_job("3", not_before_s=early.clock() + 1.0)))
    assert third.status is JobStatus.QUEUED
    assert [claim(late.store).job.id, claim(early.store).job.id] == ["1", "2"]
    assert done(late.store.claim()) is None, "an hour ahead, it would take it for due"
    wait_until(lambda: late.clock() > early.clock() - 0.5 and done(late.store.claim()) is not None)


def test_a_user_with_the_rights_of_the_docs_can_do_all(servers: Servers, member: Any) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/cluster_connecting.md").read_text(encoding="utf-8")
    (line,) = [line for line in page.splitlines() if line.startswith("ACL SETUSER")]
    server = servers.redis()
    with server.client() as client:
        client.execute_command(*line.replace("{expeditor}", "{q}").replace("PASSWORD", "pw").split())
    one = member(server.url.replace("//", "//expeditor:pw@"))
    other = member(server.url.replace("//", "//expeditor:pw@"), "gpu2")
    enqueue(one.store, "a")
    enqueue(one.store, "b", not_before_s=one.clock() + 3600)
    done(one.store.pause(True))
    done(one.store.pause(False))
    claimed = claim(other.store)
    done(other.store.retry("a", claimed.attempt, ending(JobStatus.FAILED), None))
    done(other.store.finish("a", claim(other.store).attempt, ending()))
    done(one.store.cancel("b"))
    done(one.store.prune(["a", "b"]))
    assert one.store.state().error is None
