"""The registry of instances and the relay between them: the contract, on a real Redis and on the fakes that other tests use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from expeditor.jobs.errors import Conflict, NotFound
from expeditor.jobs.instances import Capabilities, Device, Instance, InstanceState, Role
from expeditor.store.bullmq.address import parse
from expeditor.store.bullmq.connections import Connections
from expeditor.store.bullmq.instances import BullmqInstances
from expeditor.store.bullmq.relay import BullmqRelay
from expeditor.store.instances import GONE_AFTER_S, InstanceRegistry
from expeditor.store.relay import WORD_MAX_BYTES, Relay
from tests.conformance.harness import SOON_S, HandClock, done
from tests.support.fake_cluster import FakeCluster
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

Word = tuple[str, str, bytes]


class Members:
    """Makes the registries and relays of members of one cluster."""

    def registry(self) -> InstanceRegistry:
        raise NotImplementedError

    def relay(self, name: str) -> Relay:
        raise NotImplementedError

    def age(self, name: str, seconds: float) -> None:
        """As if nothing had been heard of an instance for so long."""
        raise NotImplementedError

    def close(self) -> None:
        pass


class FakeMembers(Members):
    def __init__(self) -> None:
        self.clock = HandClock()
        self.cluster = FakeCluster(self.clock)

    def registry(self) -> InstanceRegistry:
        return self.cluster.registry()

    def relay(self, name: str) -> Relay:
        return self.cluster.relay(name)

    def age(self, name: str, seconds: float) -> None:
        self.clock.now_s += seconds


class RedisMembers(Members):
    def __init__(self, server: RedisServer, namespace: str) -> None:
        self.server, self.namespace = server, namespace
        self.open: list[Any] = []

    def connections(self) -> Connections:
        self.open.append(Connections(parse(self.server.url)))
        return self.open[-1]

    def registry(self) -> BullmqInstances:
        relay = BullmqRelay(self.connections(), self.namespace, "nobody", look_s=SOON_S)
        relay.start()
        self.open += [relay, BullmqInstances(self.connections(), self.namespace, relay)]
        return self.open[-1]

    def relay(self, name: str) -> BullmqRelay:
        relay = BullmqRelay(self.connections(), self.namespace, name, look_s=SOON_S)
        relay.start()
        self.open.append(relay)
        wait_until(lambda: relay.listening, what="the relay to listen")
        return relay

    def age(self, name: str, seconds: float) -> None:
        key = f"{{{self.namespace}}}:instance:{name}"
        with self.server.client(decode_responses=True) as client:
            seen_s: Any = client.hget(key, "seen")
            client.hset(key, "seen", f"{float(seen_s) - seconds:.6f}")

    def close(self) -> None:
        for one in reversed(self.open):
            one.close()


@pytest.fixture(params=["fake", "redis"])
def members(request: pytest.FixtureRequest, namespace: str) -> Iterator[Members]:
    made: Members = FakeMembers()
    if request.param == "redis":
        made = RedisMembers(request.getfixturevalue("redis_server"), namespace)
    yield made
    made.close()


def instance(name: str = "gpu1", life: str = "a", **fields: Any) -> Instance:
    given = {
        "url": f"http://{name}:8188",
        "version": "1",
        "comfyui_version": "2",
        "started_at_s": 5.0,
        "seen_at_s": 5.0,
    }
    return Instance(name=name, boot_id=f"{name}/{life}", **{**given, **fields})


def listed(registry: InstanceRegistry) -> dict[str, InstanceState]:
    return {one.name: one.state for one in done(registry.instances())}


def test_what_an_instance_tells_is_what_the_others_read(members: Members) -> None:
    told = instance(
        roles=(Role.WORKER,),
        pools=("big", "small"),
        running=("job-1",),
        resident=("a.safetensors",),
        devices=(Device("cuda:0", 24, 12), Device("cpu")),
        capabilities_mark="m",
        busy_ratio=0.5,
        state=InstanceState.PAUSED,
    )
    assert done(members.registry().announce(told)) is InstanceState.ACTIVE
    (read,) = done(members.registry().instances())
    assert read.seen_at_s > 1_000_000, "seen by the shared clock, whatever the instance's says"
    assert read == Instance(**{**{name: getattr(told, name) for name in told.__slots__}, "seen_at_s": read.seen_at_s})


def test_instances_are_listed_by_name_and_one_that_is_silent_is_gone(members: Members) -> None:
    registry = members.registry()
    done(registry.announce(instance("b")))
    members.age("b", GONE_AFTER_S + 1)
    done(registry.announce(instance("a")))
    assert listed(registry) == {"a": InstanceState.ACTIVE, "b": InstanceState.GONE}
    done(registry.announce(instance("b")))
    assert listed(registry)["b"] is InstanceState.ACTIVE


def test_one_that_leaves_is_gone_at_once_but_not_its_next_life(members: Members) -> None:
    registry = members.registry()
    done(registry.announce(instance()))
    done(registry.leave("gpu1", "gpu1/other"))
    assert listed(registry) == {"gpu1": InstanceState.ACTIVE}
    done(registry.leave("gpu1", "gpu1/a"))
    assert listed(registry) == {"gpu1": InstanceState.GONE}
    done(registry.announce(instance(life="b")))
    done(registry.leave("gpu1", "gpu1/a"))
    assert listed(registry) == {"gpu1": InstanceState.ACTIVE}


def test_a_name_belongs_to_one_living_instance(members: Members) -> None:
    registry = members.registry()
    done(registry.announce(instance(life="a")))
    with pytest.raises(Conflict, match="gpu1"):
        done(registry.announce(instance(life="b")))
    done(registry.announce(instance(life="a")))
    members.age("gpu1", GONE_AFTER_S + 1)
    assert done(registry.announce(instance(life="b"))) is InstanceState.ACTIVE
    with pytest.raises(Conflict):
        done(registry.announce(instance(life="a")))


def test_a_wish_is_heard_with_the_next_heartbeat_and_by_a_word(members: Members) -> None:
    registry, heard = members.registry(), []
    members.relay("gpu1").listen("wished", lambda *word: heard.append(word[1:]))
    with pytest.raises(NotFound, match="gpu1"):
        done(registry.wish("gpu1", InstanceState.PAUSED))
    done(registry.announce(instance()))
    assert done(registry.wish("gpu1", InstanceState.PAUSED)).name == "gpu1"
    assert wait_until(lambda: heard) == [("wished", b"paused")]
    assert done(registry.announce(instance())) is InstanceState.PAUSED
    assert done(registry.announce(instance())) is InstanceState.PAUSED


@pytest.mark.parametrize(
    ("wished", "after"),
    [(InstanceState.PAUSED, InstanceState.PAUSED), (InstanceState.DRAINING, InstanceState.ACTIVE)],
)
def test_a_wish_to_pause_survives_a_restart_and_one_to_drain_does_not(
    members: Members, wished: InstanceState, after: InstanceState
) -> None:
    registry = members.registry()
    done(registry.announce(instance(life="a")))
    done(registry.wish("gpu1", wished))
    assert done(registry.announce(instance(life="a"))) is wished
    done(registry.leave("gpu1", "gpu1/a"))
    assert done(registry.announce(instance(life="b"))) is after
    assert done(registry.announce(instance(life="b"))) is after


def test_capabilities_are_read_by_name(members: Members) -> None:
    registry = members.registry()
    first, second = Capabilities(frozenset({"A", "B"}), frozenset({"m"})), Capabilities(frozenset({"A"}))
    assert done(registry.capabilities("gpu1")) is None
    done(registry.announce(instance("gpu1", capabilities_mark="1"), first))
    done(registry.announce(instance("gpu2", capabilities_mark="1")))
    assert done(members.registry().capabilities("gpu1")) == first
    assert done(registry.capabilities("gpu2")) == first
    done(registry.announce(instance("gpu1", capabilities_mark="2"), second))
    assert (done(registry.capabilities("gpu1")), done(registry.capabilities("gpu2"))) == (second, first)


def test_all_have_the_same_secret(members: Members) -> None:
    secret = done(members.registry().secret())
    assert len(secret) >= 20
    assert done(members.registry().secret()) == secret


def test_a_word_reaches_the_one_it_is_for_or_all_others(members: Members) -> None:
    heard: dict[str, list[Word]] = {"a": [], "b": [], "c": []}
    relays = {name: members.relay(name) for name in heard}
    for name, relay in relays.items():
        relay.listen("progress", lambda sender, kind, body, name=name: heard[name].append((sender, kind, body)))
    body = bytes(range(256))
    relays["a"].send("b", "progress", body)
    relays["a"].send(None, "progress", b"all")
    relays["a"].send(None, "other", b"")
    wait_until(lambda: len(heard["b"]) == 2 and len(heard["c"]) == 1)
    assert heard == {
        "a": [],
        "b": [("a", "progress", body), ("a", "progress", b"all")],
        "c": [("a", "progress", b"all")],
    }


def test_a_word_that_is_too_long_is_not_said(members: Members) -> None:
    heard: list[bytes] = []
    members.relay("b").listen("x", lambda _s, _k, body: heard.append(body))
    sender = members.relay("a")
    sender.send("b", "x", b"1" * (WORD_MAX_BYTES + 1))
    sender.send("b", "x", b"short")
    assert wait_until(lambda: heard) == [b"short"]
