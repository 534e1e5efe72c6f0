"""The registry and the relay on a real Redis that is killed, emptied or slow, and beside members of another version."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.instances import Capabilities, Instance, InstanceState
from expeditor.store.bullmq.address import parse
from expeditor.store.bullmq.connections import Connections
from expeditor.store.bullmq.instances import BullmqInstances
from expeditor.store.bullmq.relay import WAITING_MAX_WORDS, BullmqRelay
from expeditor.store.instances import FORGOTTEN_AFTER_S
from tests.conformance.harness import SOON_S
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

NAMESPACE = "q"
GPU1 = Instance("gpu1", "gpu1/a", "http://gpu1", "1", "2", started_at_s=1.0, seen_at_s=1.0, capabilities_mark="m")
CAPABILITIES = Capabilities(frozenset({"A"}))


class Member:
    """One member's registry and relay."""

    def __init__(self, server: RedisServer, name: str, database: int = 0) -> None:
        self.connections = Connections(parse(server.url.replace("/0", f"/{database}")), name)
        self.relay = BullmqRelay(self.connections, NAMESPACE, name, look_s=SOON_S)
        self.registry = BullmqInstances(self.connections, NAMESPACE, self.relay)
        self.heard: list[bytes] = []
        self.relay.listen("x", lambda _sender, _kind, body: self.heard.append(body))
        self.relay.start()
        wait_until(lambda: self.relay.listening)

    def close(self) -> None:
        self.registry.close()
        self.relay.close()
        self.connections.close()


@pytest.fixture
def member(own_redis: RedisServer) -> Iterator[Any]:
    made: list[Member] = []

    def join(name: str, database: int = 0) -> Member:
        made.append(Member(own_redis, name, database))
        return made[-1]

    yield join
    for one in made:
        one.close()


def test_the_relay_is_back_after_redis_was_killed(own_redis: RedisServer, member: Any) -> None:
    here, there = member("a"), member("b")
    own_redis.kill()
    wait_until(lambda: not there.relay.listening)
    here.relay.send("b", "x", b"lost")
    wait_until(lambda: here.relay.dropped == 1)
    own_redis.start()
    wait_until(lambda: there.relay.listening)
    here.relay.send("b", "x", b"heard")
    assert wait_until(lambda: there.heard) == [b"heard"]


def test_the_relay_notices_a_redis_that_hangs_and_goes_on_with_it(own_redis: RedisServer, member: Any) -> None:
    here, there = member("a"), member("b")
    own_redis.stop_world()
    here.relay.send("b", "x", b"first")
    wait_until(lambda: here.relay.dropped >= 1)
    own_redis.go_on()

    def heard() -> bool:
        here.relay.send("b", "x", b"again")
        return b"again" in there.heard

    wait_until(heard)


def test_nobody_waits_for_the_relay_and_the_oldest_words_go_first(own_redis: RedisServer, member: Any) -> None:
    here, there = member("a"), member("b")
    own_redis.stop_world()
    for number in range(WAITING_MAX_WORDS + 500):
        here.relay.send("b", "x", str(number).encode())
    assert here.relay.dropped >= 400
    own_redis.go_on()
    wait_until(lambda: str(WAITING_MAX_WORDS + 499).encode() in there.heard or here.relay.dropped > WAITING_MAX_WORDS)
    assert b"100" not in there.heard


def test_a_listener_that_fails_makes_nobody_deaf(member: Any, caplog: pytest.LogCaptureFixture) -> None:
    here, there = member("a"), member("b")
    there.relay.listen("x", lambda _sender, _kind, _body: 1 / 0)
    here.relay.send("b", "x", b"1")
    here.relay.send("b", "x", b"2")
    wait_until(lambda: there.heard == [b"1", b"2"])
    wait_until(lambda: sum("could not be taken" in line.getMessage() for line in caplog.records) == 2)


@pytest.mark.parametrize("word", [b"", b"b\nx", b"\xff\nx\n", b"a\n\xff\n"])
def test_a_word_that_is_none_makes_nobody_deaf(own_redis: RedisServer, member: Any, word: bytes) -> None:
    here, there = member("a"), member("b")
    client: Any = own_redis.client()
    assert client.publish(f"{{{NAMESPACE}}}:0:relay:to:b", word) == 1
    here.relay.send("b", "x", b"1")
    wait_until(lambda: there.heard == [b"1"])


@pytest.mark.parametrize("facts", [b"no json", b"3", b"{}", b'{"name": "x", "devices": [{}]}', b"\xff"])
def test_one_whom_nobody_can_read_hides_no_other(own_redis: RedisServer, member: Any, facts: bytes) -> None:
    one = member("gpu1")
    for name in ("gpu1", "gpu2"):
        one.registry.announce(replace(GPU1, name=name, boot_id=f"{name}/a"), CAPABILITIES).result(10)
    client: Any = own_redis.client()
    client.hset(f"{{{NAMESPACE}}}:instance:gpu2", "facts", facts)
    assert [each.name for each in one.registry.instances().result(10)] == ["gpu1"]


def test_two_databases_of_one_redis_do_not_hear_each_other(member: Any) -> None:
    here, there, elsewhere = member("a"), member("b"), member("b", database=1)
    here.relay.send(None, "x", b"1")
    wait_until(lambda: there.heard)
    # The next word to the other database comes after this one: it alone is heard there.
    elsewhere.relay.send("b", "x", b"2")
    wait_until(lambda: elsewhere.heard)
    assert (there.heard, elsewhere.heard) == ([b"1"], [b"2"])


def test_a_relay_that_is_closed_leaves_no_thread(member: Any) -> None:
    here = member("a")
    here.relay.close()
    here.relay.close()
    here.relay.send("a", "x", b"1")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("expeditor-relay")]


def test_what_an_emptied_redis_lost_comes_back_with_the_next_heartbeat(own_redis: RedisServer, member: Any) -> None:
    registry = member("a").registry
    registry.announce(GPU1, CAPABILITIES).result(10)
    own_redis.flush()
    assert registry.instances().result(10) == ()
    registry.announce(GPU1).result(10)
    assert [one.name for one in registry.instances().result(10)] == ["gpu1"]
    assert registry.capabilities("gpu1").result(10) == CAPABILITIES


def test_the_registry_is_refused_while_redis_is_away_and_then_works(own_redis: RedisServer, member: Any) -> None:
    registry = member("a").registry
    registry.announce(GPU1).result(10)
    own_redis.kill()
    with pytest.raises(StoreUnavailable, match="nobody listens"):
        registry.announce(GPU1).result(10)
    own_redis.start()
    assert registry.announce(GPU1).result(10) is InstanceState.ACTIVE


def test_a_member_of_another_version_is_read_as_far_as_it_is_known(own_redis: RedisServer, member: Any) -> None:
    registry = member("a").registry
    registry.announce(GPU1).result(10)
    with own_redis.client(decode_responses=True) as client:
        facts: Any = json.loads(str(client.hget("{q}:instance:gpu1", "facts")))
        facts |= {"colour": "red", "state": "dancing", "roles": ["worker", "cook"], "pools": ["p"]}
        del facts["running"]
        client.hset("{q}:instance:gpu1", "facts", json.dumps(facts))
    (read,) = registry.instances().result(10)
    assert (read.state, [role.value for role in read.roles], read.pools, read.running) == (
        InstanceState.ACTIVE,
        ["worker"],
        ("p",),
        (),
    )


def test_capabilities_nobody_has_any_more_are_forgotten_and_so_is_an_instance(
    own_redis: RedisServer, member: Any
) -> None:
    registry = member("a").registry
    for mark in ("1", "2", "3"):
        registry.announce(
            Instance("gpu1", "gpu1/a", "u", "1", "2", 1.0, 1.0, capabilities_mark=mark), Capabilities(frozenset({mark}))
        ).result(10)
    with own_redis.client(decode_responses=True) as client:
        assert client.hkeys("{q}:capabilities") == ["3"]
        left_s: Any = client.ttl("{q}:instance:gpu1")
        assert FORGOTTEN_AFTER_S - 60 < left_s <= FORGOTTEN_AFTER_S
        client.delete("{q}:instance:gpu1")
    assert registry.instances().result(10) == ()
