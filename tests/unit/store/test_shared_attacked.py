"""The shared queue when an answer is lost at the worst moment, and when somebody else writes into its channels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.model import JobStatus
from expeditor.store.bullmq.records import pack_job, unpack_job
from tests.conformance.harness import claim, done, ending, enqueue
from tests.conformance.members import Members
from tests.support.cut_wire import CutWire
from tests.support.redis_server import RedisServer
from tests.support.store_member import Member
from tests.support.waiting import wait_until

LEASE_S = 2.0
BROKEN = (b"", b"no version", b"\xff\xfe 1", b"x 1e9999", b"a\nb", "x \u0663".encode())


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as made:
        yield made


@pytest.fixture
def wire(server: RedisServer) -> Iterator[CutWire]:
    with CutWire(server.port) as made:
        yield made


def test_a_claim_whose_answer_is_lost_is_not_kept_alive_for_ever(server: RedisServer, wire: CutWire) -> None:
    """Nobody runs it: its claim was refused here, and yet it stands in Redis."""
    one = Member(f"redis://127.0.0.1:{wire.port}", lease_s=LEASE_S)
    try:
        enqueue(one.store, "a")
        wait_until(lambda: claimed_unheard(one, wire))
        wait_until(lambda: ticked(one).status is JobStatus.QUEUED, poll_s=0.2)
        again = claim(one.store)
        assert again.job.attempt == 2
        assert done(one.store.finish("a", 2, ending())).status is JobStatus.SUCCEEDED
    finally:
        one.close()


def claimed_unheard(one: Member, wire: CutWire) -> bool:
    """Claim so that the answer is lost; whether it was the claim's (it may be that of a look that came before)."""
    wire.cut_answers_to(b"EVALSHA")
    with pytest.raises(StoreUnavailable):
        claim(one.store)
    wire.mend()
    wait_until(lambda: probed(one))
    job = done(one.store.get("a"))
    assert job is not None
    return job.status is JobStatus.RUNNING


def ticked(one: Member) -> Any:
    done(one.store.tick())
    return done(one.store.get("a"))


def test_what_runs_here_is_kept_alive_also_after_a_cut(server: RedisServer, wire: CutWire) -> None:
    one = Member(f"redis://127.0.0.1:{wire.port}", lease_s=LEASE_S)
    try:
        enqueue(one.store, "a")
        claim(one.store)
        wire.cut_answers_to(b"EVALSHA")
        with pytest.raises(StoreUnavailable):
            done(one.store.cancel("a"))
        wire.mend()
        wait_until(lambda: probed(one))
        renewed = iter(range(int(3 * LEASE_S / 0.2)))
        wait_until(lambda: ticked(one).status is not JobStatus.CANCELING or next(renewed, None) is None, poll_s=0.2)
        assert ticked(one).status is JobStatus.CANCELING
    finally:
        one.close()


def probed(one: Member) -> bool:
    try:
        done(one.store.probe())
    except StoreUnavailable:
        return False
    return True


@pytest.mark.parametrize("word", BROKEN)
def test_a_word_that_nobody_understands_makes_no_member_deaf(server: RedisServer, word: bytes) -> None:
    members = Members(server.url)
    try:
        one, other = members("gpu1"), members("gpu2")
        client: Any = server.client()
        wait_until(lambda: client.publish(f"{{{members.namespace}}}:word", word) == 2)
        enqueue(other.store, "a")
        wait_until(lambda: one.neighbours.told)
    finally:
        members.close()


def test_what_a_later_version_adds_to_a_record_is_read_and_passed_on(server: RedisServer) -> None:
    members = Members(server.url)
    try:
        one = members("gpu1")
        job = enqueue(one.store, "a")
        client: Any = server.client()
        live = f"{{{members.namespace}}}:live"
        (key,) = client.hkeys(live)
        kept = unpack_job("a", client.hget(live, key))
        assert kept.later == ()
        client.hset(live, key, pack_job(kept._replace(later=({"new": 1}, "x"))))
        other = members("gpu2")
        assert done(other.store.get("a")) == job
        done(other.store.hold("a", True))
        assert unpack_job("a", client.hget(live, key)).later == ({"new": 1}, "x")
    finally:
        members.close()


def test_a_record_of_a_form_that_is_not_known_is_said_so(server: RedisServer) -> None:
    members = Members(server.url)
    try:
        enqueue(members("gpu1").store, "a")
        client: Any = server.client()
        live = f"{{{members.namespace}}}:live"
        client.hset(live, client.hkeys(live)[0], b"2 of a later version")
        with pytest.raises(StoreUnavailable, match="later version"):
            members("gpu2")
    finally:
        members.close()
