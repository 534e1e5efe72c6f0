"""The shared queue when an answer is lost at the worst moment, and when somebody else writes into its channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.model import Cause, JobStatus
from expeditor.store.bullmq.keys import key_of_id
from expeditor.store.bullmq.packing import text_packed, text_unpacked
from expeditor.store.bullmq.records import pack_job, unpack_job
from expeditor.store.records import JobQuery
from tests.conformance.harness import claim, done, ending, enqueue
from tests.conformance.members import Members
from tests.support.cut_wire import CutWire
from tests.support.redis_server import RedisServer
from tests.support.store_member import Member
from tests.support.waiting import wait_until

LEASE_S = 2.0
BROKEN = (b"", b"no version", b"\xff\xfe 1", b"x 1e9999", b"a\nb", "x \u0663".encode())


@pytest.fixture
def wire(own_redis: RedisServer) -> Iterator[CutWire]:
    with CutWire(own_redis.port) as made:
        yield made


def test_a_claim_whose_answer_is_lost_is_not_kept_alive_for_ever(own_redis: RedisServer, wire: CutWire) -> None:
    """Nobody runs it: its claim was refused here, and yet it stands in Redis."""
    one = Member(f"redis://127.0.0.1:{wire.port}", lease_s=LEASE_S)
    try:
        enqueue(one.store, "a")
        wait_until(lambda: unheard(one, wire, lambda: claim(one.store)) is JobStatus.RUNNING)
        wait_until(lambda: ticked(one).status is JobStatus.QUEUED, poll_s=0.2)
        again = claim(one.store)
        assert again.job.attempt == 2
        assert done(one.store.finish("a", 2, ending())).status is JobStatus.SUCCEEDED
    finally:
        one.close()


def unheard(one: Member, wire: CutWire, asked: Callable[[], Any]) -> JobStatus:
    """Ask so that an answer is lost; where the job then stands: the lost one may be that of a look that came before."""
    wire.cut_answers_to(b"EVALSHA")
    with pytest.raises(StoreUnavailable):
        asked()
    wire.mend()
    wait_until(lambda: probed(one))
    job = done(one.store.get("a"))
    assert job is not None
    return job.status


def ticked(one: Member) -> Any:
    done(one.store.tick())
    return done(one.store.get("a"))


def test_what_runs_here_is_kept_alive_also_after_a_cut(own_redis: RedisServer, wire: CutWire) -> None:
    one = Member(f"redis://127.0.0.1:{wire.port}", lease_s=LEASE_S)
    try:
        enqueue(one.store, "a")
        claim(one.store)
        wait_until(lambda: unheard(one, wire, lambda: done(one.store.cancel("a"))) is JobStatus.CANCELING)
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
def test_a_word_that_nobody_understands_makes_no_member_deaf(own_redis: RedisServer, word: bytes) -> None:
    members = Members(own_redis.url)
    try:
        one, other = members("gpu1"), members("gpu2")
        client: Any = own_redis.client()
        wait_until(lambda: client.publish(f"{{{members.namespace}}}:word", word) == 2)
        enqueue(other.store, "a")
        wait_until(lambda: one.neighbours.told)
    finally:
        members.close()


def test_what_a_later_version_adds_to_a_record_is_read_and_passed_on(own_redis: RedisServer) -> None:
    members = Members(own_redis.url)
    try:
        one = members("gpu1")
        job = enqueue(one.store, "a")
        client: Any = own_redis.client()
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


def of_later_words(packed: bytes, *words: str) -> bytes:
    """The record of a job with these words in place of what this version knows."""
    assert packed.startswith(b"0")
    values = text_unpacked(packed[1:])
    assert set(words) <= {value for value in values if isinstance(value, str)}
    return b"0" + text_packed(["of a later version" if value in words else value for value in values])


@pytest.mark.parametrize("words", [(), ("queued",), ("submit",), ("NODE_ERROR",)])
def test_a_record_of_a_form_that_is_not_known_is_said_so_and_hides_no_other(
    own_redis: RedisServer, words: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    members = Members(own_redis.url)
    try:
        one = members("gpu1")
        job, _ = enqueue(one.store, "a"), enqueue(one.store, "b")
        client: Any = own_redis.client()
        live = f"{{{members.namespace}}}:live"
        kept = unpack_job("a", client.hget(live, key_of_id("a")))._replace(job=replace(job, cause=Cause.NODE_ERROR))
        later = of_later_words(pack_job(kept), *words) if words else b"9 of a later version"
        client.hset(live, key_of_id("a"), later)
        other = members("gpu2")
        assert [line.message.count("1 jobs, the first is a") for line in caplog.records] == [1]
        with pytest.raises(StoreUnavailable, match="later version"):
            done(other.store.get("a"))
        with pytest.raises(StoreUnavailable, match="later version"):
            done(other.store.hold("a", True))
        assert [job.id for job in done(other.store.page(JobQuery())).jobs] == ["b"]
        assert claim(other.store).job.id == "b"
        assert done(other.store.finish("b", 1, ending())).status is JobStatus.SUCCEEDED
        assert client.hget(live, key_of_id("a")) == later
    finally:
        members.close()


def test_no_file_is_free_to_go_while_a_record_that_may_name_it_cannot_be_read(own_redis: RedisServer) -> None:
    members = Members(own_redis.url)
    try:
        one = members("gpu1")
        for name in ("a", "b"):
            enqueue(one.store, name)
            claim(one.store)
            done(one.store.finish(name, 1, ending()))
        client: Any = own_redis.client()
        client.hset(f"{{{members.namespace}}}:ended", key_of_id("a"), b"9 of a later version")
        assert [job.id for job in done(one.store.page(JobQuery())).jobs] == ["b"]
        with pytest.raises(StoreUnavailable, match="later version"):
            done(one.store.naming(frozenset(), frozenset(), frozenset(), 0))
    finally:
        members.close()
