"""The real servers that the tests of a shared queue stand on do what these tests count on."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from tests.support.certificates import make_certificates
from tests.support.redis_server import RedisServer


def test_what_was_written_outlives_a_kill() -> None:
    with RedisServer() as server:
        with server.client() as client:
            client.set("a", "1")
        port = server.port
        server.kill()
        with pytest.raises(redis.ConnectionError), server.client(retry=None) as client:
            client.get("a")
        server.start()
        with server.client(decode_responses=True) as client:
            assert (client.get("a"), server.port) == ("1", port)


def test_a_stopped_world_answers_nobody_and_goes_on() -> None:
    with RedisServer(aof=None) as server:
        server.stop_world()
        with pytest.raises(redis.TimeoutError), server.client(socket_timeout=0.3, retry=None) as client:
            client.ping()
        server.go_on()
        with server.client() as client:
            assert client.ping()


def test_a_server_with_tls_and_password_speaks_to_nobody_else(tmp_path: Path) -> None:
    with RedisServer(password="pw", tls=make_certificates(tmp_path)) as server:
        with server.client() as client:
            assert client.ping()
        with pytest.raises(redis.AuthenticationError), server.client(password="other") as wrong:
            wrong.ping()
        assert server.url.startswith(f"rediss://:pw@127.0.0.1:{server.port}/0?ssl_ca_certs=")


def test_the_shared_server_is_there(redis_server: RedisServer, namespace: str) -> None:
    with redis_server.client() as client:
        assert client.set(f"{namespace}:a", "1")
        client.delete(f"{namespace}:a")
