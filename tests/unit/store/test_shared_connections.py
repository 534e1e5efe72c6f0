"""Connections to real servers of every kind: what works, and how each fault reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from expeditor.jobs.errors import StoreUnavailable
from expeditor.store.bullmq.address import parse
from expeditor.store.bullmq.connections import Connections, ServerFacts, backoff
from expeditor.store.bullmq.outage import translated
from tests.support.certificates import make_certificates
from tests.support.comfy_server import free_port
from tests.support.redis_server import RedisServer, Sentinels
from tests.support.waiting import wait_until

PASSWORD = "hush"


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisServer]:
    """A server that asks for a password; nobody changes it."""
    with RedisServer(password=PASSWORD) as server:
        yield server


@pytest.fixture
def connections() -> Iterator[Callable[[str], Connections]]:
    """Makes connections to an address, and closes them."""
    made: list[Connections] = []

    def to(url: str) -> Connections:
        made.append(Connections(parse(url), "gpu1"))
        return made[-1]

    yield to
    for one in made:
        one.close()


@pytest.fixture
def own(connections: Any) -> Iterator[tuple[RedisServer, Connections, Any]]:
    """A server of the test's own, open connections to it, and a client of theirs."""
    with RedisServer() as server:
        ours = connections(server.url)
        ours.open()
        yield server, ours, ours.prompt("verbs")


def refusal(connections: Connections) -> str:
    """Why it cannot be opened."""
    with pytest.raises(StoreUnavailable) as caught:
        connections.open()
    assert PASSWORD not in caught.value.message
    return caught.value.message


def names(server: RedisServer) -> set[str]:
    """What the server's clients are called."""
    with server.client(decode_responses=True) as client:
        clients: Any = client.client_list()
    return {one["name"] for one in clients}


def test_a_server_that_fits_is_opened_and_tells_its_clients_apart(guarded: RedisServer, connections: Any) -> None:
    ours = connections(guarded.url)
    facts = ours.open()
    assert facts.notice is None
    assert ours.prompt("verbs").ping()
    assert ours.patient("relay").ping()
    assert {"expeditor-gpu1-clock", "expeditor-gpu1-verbs", "expeditor-gpu1-relay"} <= names(guarded)
    ours.close()
    wait_until(lambda: not any(name.startswith("expeditor") for name in names(guarded)))


def test_it_can_be_opened_again(guarded: RedisServer, connections: Any) -> None:
    ours = connections(guarded.url)
    ours.open()
    ours.open()
    ours.close()
    assert isinstance(ours.open(), ServerFacts)


def test_a_socket_is_an_address_too(guarded: RedisServer, connections: Any) -> None:
    connections(f"unix://:{PASSWORD}@{guarded.socket_path}?db=1").open()
    missing = refusal(connections(f"unix://:{PASSWORD}@{guarded.socket_path}x"))
    assert "there is no such socket" in missing


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (f":{PASSWORD}@", ":wrong@", "does not know this user and password"),
        (f":{PASSWORD}@", "", "asks for a password and the address has none"),
        ("/0", "/77", "no database of that number"),
        ("127.0.0.1", "no-such-host.invalid", "no-such-host.invalid"),
    ],
)
def test_a_wrong_part_of_the_address_is_named(
    guarded: RedisServer, connections: Any, old: str, new: str, words: str
) -> None:
    assert words in refusal(connections(guarded.url.replace(old, new)))


def test_nobody_there_is_said_so(connections: Any) -> None:
    port = free_port()
    message = refusal(connections(f"redis://:{PASSWORD}@127.0.0.1:{port}"))
    assert message == f"The shared store at redis://***@127.0.0.1:{port}/0 cannot be used: nobody listens there."


def test_a_password_that_the_server_does_not_want_is_named(redis_server: RedisServer, connections: Any) -> None:
    assert "the server knows of none" in refusal(connections(redis_server.url.replace("//", f"//:{PASSWORD}@")))


def test_without_an_append_only_file_people_are_told(connections: Any) -> None:
    with RedisServer(aof=None) as server:
        ours = connections(server.url)
        ours.open()
        assert "appendonly yes" in ours.notice


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"maxmemory_bytes": 50_000_000, "args": ("--maxmemory-policy", "allkeys-lru")},
            "set maxmemory-policy noeviction",
        ),
        ({"args": ("--cluster-enabled", "yes")}, "a Redis Cluster, which is not supported"),
    ],
)
def test_a_server_that_cannot_keep_a_queue_is_refused(options: Any, words: str, connections: Any) -> None:
    with RedisServer(**options) as server:
        assert words in refusal(connections(server.url))


def test_a_replica_is_refused(redis_server: RedisServer, connections: Any) -> None:
    with RedisServer(aof=None, args=("--replicaof", "127.0.0.1", str(redis_server.port))) as replica:
        assert "it is a replica" in refusal(connections(replica.url))


def test_tls_with_certificates_of_both_sides(tmp_path: Path, redis_server: RedisServer, connections: Any) -> None:
    certificates = make_certificates(tmp_path)
    with RedisServer(tls=certificates, password=PASSWORD) as server:
        connections(server.url).open()
        bare, _, query = server.url.partition("?")
        authority = query.partition("&")[0]
        assert "name the authority with ssl_ca_certs" in refusal(connections(bare))
        assert "ssl_certfile" in refusal(connections(f"{bare}?{authority}"))
        assert "then rediss://" in refusal(connections(bare.replace("rediss://", "redis://")))
        assert "ssl_keyfile names" in refusal(connections(server.url.replace("redis.key", "gone.key")))
    to_plain = redis_server.url.replace("redis://", "rediss://")
    assert "TLS" in refusal(connections(to_plain))


def test_a_user_who_may_not_do_what_is_needed_is_told_what(guarded: RedisServer, connections: Any) -> None:
    with guarded.client() as client:
        client.execute_command("ACL", "SETUSER", "meek", "on", ">pw", "~*", "&*", "+@all", "-info")
    message = refusal(connections(guarded.url.replace(f":{PASSWORD}@", "meek:pw@")))
    assert "its rules (ACL) do not let this user do what is needed" in message
    assert "info" in message


def test_a_world_that_stopped_is_given_up_on_and_no_command_is_sent_twice(own: Any) -> None:
    server, ours, client = own
    client.set("count", 0)
    server.stop_world()
    with pytest.raises(StoreUnavailable, match="does not answer in time"), translated(ours.address):
        client.incr("count")
    server.go_on()
    # What was sent before the world stopped is done once it goes on: once.
    wait_until(lambda: int(client.get("count")) == 1)


def test_a_server_that_was_killed_is_found_again(own: Any) -> None:
    server, ours, client = own
    client.set("a", 1)
    server.kill()
    with pytest.raises(StoreUnavailable, match="nobody listens"), translated(ours.address):
        client.get("a")
    server.start()
    assert client.get("a") == b"1"


def test_sentinels_lead_to_the_master(connections: Any) -> None:
    with Sentinels(password=PASSWORD, sentinel_password="quiet") as several:
        ours = connections(several.url)
        ours.open()
        assert ours.prompt("verbs").ping()
        assert several.master_port() == several.master.port
        unknown = refusal(connections(several.url.replace("mymaster", "other")))
        assert "no sentinel that could be asked knows a living master of that name" in unknown
        wrong = refusal(connections(several.url.replace("=quiet", "=loud")))
        assert "loud" not in wrong
        one_gone = several.sentinels[0]
        one_gone.kill()
        connections(several.url).open()
        assert "it is a sentinel" in refusal(connections(f"redis://:quiet@127.0.0.1:{several.sentinels[1].port}"))


def test_the_pause_before_another_try_grows_to_a_bound() -> None:
    pauses = backoff()
    first = [next(pauses) for _ in range(10)]
    assert first == sorted(first)
    assert (first[0], first[-1]) == (0.1, 2.0)


def test_an_error_of_another_kind_is_let_through() -> None:
    with pytest.raises(ZeroDivisionError), translated(parse("redis://cache")):
        _ = 1 / 0
    with pytest.raises(StoreUnavailable, match="an error \\(odd\\)"), translated(parse("redis://cache")):
        raise redis.ResponseError("odd")
