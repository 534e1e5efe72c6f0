"""What the word of a commit says, so that who hears it need not look; and words that do not say enough, or that somebody else said."""

from __future__ import annotations

from typing import Any

import msgpack

from expeditor.jobs.model import JobStatus
from tests.conformance.harness import claim, done, ending, enqueue, new_job
from tests.conformance.members import Member, Members
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

pack: Any = msgpack.packb


def listening(members: Members, redis_server: RedisServer) -> tuple[Member, Member]:
    """Two members that hear each other, and have looked once."""
    one, other = members("gpu1"), members("gpu2")
    client: Any = redis_server.client()
    wait_until(lambda: client.pubsub_numsub(word(members))[0][1] == 2)
    enqueue(one.store, "first")
    wait_until(lambda: seen(other, "first"))
    enqueue(other.store, "second")
    wait_until(lambda: seen(one, "second"))
    return one, other


def word(members: Members) -> str:
    return f"{{{members.namespace}}}:word"


def seen(member: Member, job_id: str) -> bool:
    return any(event.job.id == job_id for event in member.ears.events)


def asked(redis_server: RedisServer) -> int:
    """How often a script was called."""
    client: Any = redis_server.client()
    return int(client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


def test_who_hears_of_a_commit_need_not_look(redis_server: RedisServer, members: Members) -> None:
    one, other = listening(members, redis_server)
    before = asked(redis_server)
    for number in range(20):
        enqueue(other.store, f"n{number}")
        wait_until(lambda number=number: seen(one, f"n{number}"))
    assert asked(redis_server) - before == 20
    assert done(one.store.place("n19")) == done(other.store.place("n19"))


def test_all_that_a_commit_changes_is_in_its_word(redis_server: RedisServer, members: Members) -> None:
    one, other = listening(members, redis_server)
    before = asked(redis_server)
    claimed = claim(other.store)
    done(other.store.finish(claimed.job.id, claimed.attempt, ending()))
    done(other.store.pause(True))
    enqueue(other.store, "late", metadata={"ü": "🌍"})
    wait_until(lambda: seen(one, "late"))
    assert asked(redis_server) - before == 4
    assert done(one.store.claim()) is None
    told = [(event.type, event.job.id, event.position) for event in one.ears.events]
    assert told == [(event.type, event.job.id, event.position) for event in other.ears.events]
    assert one.ears.events[-1].job == other.ears.events[-1].job
    done(one.store.pause(False))
    assert claim(one.store).job.id == "second"
    wait_until(lambda: other.ears.events[-1].job.status is JobStatus.RUNNING)


def test_much_at_once_is_looked_up(redis_server: RedisServer, members: Members) -> None:
    one, other = listening(members, redis_server)
    many = [new_job(f"m{number}", metadata={"text": f"{number:x}" * 50}) for number in range(300)]
    done(other.store.enqueue_all(None, many))
    wait_until(lambda: seen(one, "m299"))
    assert done(one.store.place("m299")) == done(other.store.place("m299"))


def forged(birth: bytes, version: int, told: Any) -> list[bytes]:
    """Words that say less, or something else, than a view says."""
    state = [birth, b"%d" % version, b"9", b"9", False, b"0", False, False]
    views: list[Any] = [
        7,
        [],
        [state],
        [state, [[b"1-0", 7]], [], [], [], 1],
        [state, [[b"1-0", [b"j", b"\x90", b"x", b"no JSON", b"w", b"x:1"]]], [], [], [], 1],
        [[b"another", *state[1:]], [[b"1-0", [b"j", b"\x90", b"x", b"{}", b"w", b"x:1"]]], [], [], [], 1],
        [state, [], [], [], [], 0],
        [[False] * 8, [], [], [], [], 1],
        [state, [[b"1-0", [b"j", b"\x90", b"x", b"{}", b"w", b"x:1"]]] * 2, [], [], [], 1],
        [state, [[b"1-0", [b"j", b"\x90", b"x", b"{}", b"w", b"x:1"]]], [], [], [[7, 8]], 1],
    ]
    return [b"\xc1", b"\x00\x00", *(bytes(pack(view, use_bin_type=False)) for view in views), told]


def test_a_word_that_somebody_else_said_changes_nothing(redis_server: RedisServer, members: Members) -> None:
    one, other = listening(members, redis_server)
    client: Any = redis_server.client()
    birth, version = client.hmget(f"{{{members.namespace}}}:meta", "birth", "version")
    before = [done(one.store.place(job_id)) for job_id in ("first", "second")]
    for told in forged(birth, int(version) + 1, b"x" * 40_000):
        assert client.publish(word(members), b"stranger %d " % (int(version) + 1) + told) == 2
    enqueue(other.store, "third")
    wait_until(lambda: seen(one, "third"))
    assert [done(one.store.place(job_id)) for job_id in ("first", "second")] == before
    assert done(one.store.place("third")) == done(other.store.place("third"))
    assert not one.neighbours.missed_spans
