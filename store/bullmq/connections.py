"""All ways to a shared Redis or Valkey: one server, a socket, sentinels; with TLS, user and password.

Owns how a client is set up (how long it waits, what it is called, that it never sends a command twice), what a server must be to be
used, and the measuring of its clock. Not owned: what is asked of it; how its failures read (``outage``).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

from ...jobs.errors import StoreUnavailable
from .address import Address
from .clock import RedisClock
from .outage import CLUSTER, sentence, translated

log = logging.getLogger("expeditor.store")

CONNECT_S = 0.5
PROMPT_S = 1.5
"""How long a verb waits for an answer: with a connection that has to be made first it is refused within two seconds and a bit."""
TIMELY_S = 1.2
"""A write that Redis comes to later is not done: who asked for it may have given up."""
PATIENT_S = 30.0
"""How long a client that listens waits for an answer; what it asks must be answered sooner (``BLOCK_S``)."""
BLOCK_S = 5.0
SENTINEL_S = 0.5
MEASURE_EVERY_S = 30.0
PROBES = 3
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 2.0

OLDEST = (6, 2)


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What was found at the other end. ``notice``: what people should hear, though it can be used."""

    kind: str
    version: str
    notice: str | None = None


class Connections:
    """Clients of one address. Making one connects nothing; any thread; each connects anew by itself when it was cut off.

    No client tries a command twice by itself: a write whose answer was lost may have been done.
    """

    def __init__(self, address: Address, instance: str = "", clock: RedisClock | None = None) -> None:
        """``instance``: for the names under which the server lists the clients. ``clock`` is measured from ``open`` to ``close``."""
        self.address = address
        self.clock = clock or RedisClock()
        self._instance = instance
        self._clients: list[Redis] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._measuring: threading.Thread | None = None
        self._facts: ServerFacts | None = None

    @property
    def notice(self) -> str | None:
        """What people should hear of the server; None before ``open``."""
        return self._facts.notice if self._facts else None

    def deadline_s(self) -> float:
        """By Redis' clock: until when a write that is asked for now may be done."""
        return self.clock() + TIMELY_S

    def measure(self, client: Redis) -> None:
        """Look at Redis' clock now: something that it did seems to have come too late."""
        self._measure(client)

    def prompt(self, purpose: str, *, decode: bool = False) -> Redis:
        """A client for verbs: gives up soon. Closed by ``close`` at the latest."""
        return self._client(purpose, PROMPT_S, decode)

    def patient(self, purpose: str, *, decode: bool = False) -> Redis:
        """A client for listening and blocking commands of at most ``BLOCK_S``."""
        return self._client(purpose, PATIENT_S, decode)

    def open(self) -> ServerFacts:
        """Look whether the server can be used and measure its clock, then keep measuring. ``StoreUnavailable`` says why not."""
        client = self.prompt("clock")
        try:
            with translated(self.address, told=True):
                self._facts = self._examined(client)
                for _ in range(PROBES):
                    self._measure(client)
        except BaseException:
            self.drop(client)
            raise
        with self._lock:
            self._closing.clear()
            running = self._measuring is not None and self._measuring.is_alive()
            if not running:
                self._measuring = threading.Thread(
                    target=self._keep_measuring, args=(client,), name="expeditor-store-clock", daemon=True
                )
                self._measuring.start()
        if running:
            self.drop(client)
        return self._facts

    def close(self) -> None:
        """Let go of all connections; a client that is used again would connect again. May be opened again."""
        self._closing.set()
        thread, self._measuring = self._measuring, None
        if thread is not None:
            thread.join(PROMPT_S + CONNECT_S)
        with self._lock:
            clients, self._clients = self._clients, []
        for client in clients:
            _shut(client)

    def drop(self, client: Redis) -> None:
        """Let go of one client."""
        with self._lock:
            self._clients = [one for one in self._clients if one is not client]
        _shut(client)

    def _client(self, purpose: str, timeout_s: float, decode: bool) -> Redis:
        options = self._options(purpose, timeout_s, decode)
        address = self.address
        if address.master is not None:
            made = self._of_sentinels(address.master, options)
        elif address.socket_path is not None:
            made = Redis(unix_socket_path=address.socket_path, **options)
        else:
            host, port = address.hosts[0]
            made = Redis(host=host, port=port, **options)
        with self._lock:
            self._clients.append(made)
        return made

    def _options(self, purpose: str, timeout_s: float, decode: bool) -> dict[str, Any]:
        address = self.address
        return {
            "db": address.database,
            "username": address.login.username,
            "password": address.login.password,
            "client_name": "-".join(part for part in ("expeditor", self._instance, purpose) if part),
            "decode_responses": decode,
            "socket_timeout": timeout_s,
            "socket_connect_timeout": CONNECT_S,
            "socket_keepalive": True,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,  # what every server and every script speaks
            **_tls_options(address),
        }

    def _of_sentinels(self, master: str, options: dict[str, Any]) -> Redis:
        login, tls = self.address.sentinel_login, _tls_options(self.address)
        short = {"socket_timeout": SENTINEL_S, "socket_connect_timeout": SENTINEL_S, "retry": Retry(NoBackoff(), 0)}
        asking = {"username": login.username, "password": login.password, "protocol": 2, **short, **tls}
        sentinel: Any = Sentinel(list(self.address.hosts), sentinel_kwargs=asking)
        return sentinel.master_for(master, **options)

    def _examined(self, client: Any) -> ServerFacts:
        _require_files(self.address)
        facts: dict[str, Any] = client.info()
        fault = _unfit(facts)
        if fault is not None:
            raise StoreUnavailable(sentence(fault, self.address))
        kind, version = _kind(facts)
        return ServerFacts(kind, version, _notice(facts))

    def _measure(self, client: Any) -> None:
        asked_s = self.clock.steady_s()
        seconds, micros = client.time()
        self.clock.measured(seconds + micros / 1e6, asked_s, self.clock.steady_s())

    def _keep_measuring(self, client: Redis) -> None:
        while not self._closing.wait(MEASURE_EVERY_S):
            with suppress(RedisError, OSError):  # the count goes on; who stores something hears of it
                self._measure(client)


def backoff() -> Iterator[float]:
    """Seconds to wait before each further try to connect, for ever."""
    pause_s = BACKOFF_FIRST_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, BACKOFF_MAX_S)


def _shut(client: Redis) -> None:
    with suppress(RedisError, OSError):
        client.close()
        client.connection_pool.disconnect()


def _tls_options(address: Address) -> dict[str, Any]:
    tls = address.tls
    if tls is None:
        return {}
    return {
        "ssl": True,
        "ssl_ca_certs": tls.authority,
        "ssl_certfile": tls.certificate,
        "ssl_keyfile": tls.key,
        "ssl_password": tls.key_password,
        "ssl_check_hostname": tls.check_hostname,
    }


def _require_files(address: Address) -> None:
    tls = address.tls
    if tls is None:
        return
    named = {"ssl_ca_certs": tls.authority, "ssl_certfile": tls.certificate, "ssl_keyfile": tls.key}
    for word, path in named.items():
        if path is not None and not Path(path).is_file():
            raise StoreUnavailable(sentence(f"{word} names {path}, and there is no such file", address))


def _kind(facts: dict[str, Any]) -> tuple[str, str]:
    if "valkey_version" in facts:
        return "Valkey", str(facts["valkey_version"])
    return "Redis", str(facts.get("redis_version", "of unknown version"))


def _unfit(facts: dict[str, Any]) -> str | None:
    """Why this server cannot keep a queue, or None."""
    kind, version = _kind(facts)
    speaks = str(facts.get("redis_version", "0"))  # Valkey says here which Redis it is like
    mode = facts.get("redis_mode") or facts.get("server_mode")  # Valkey's word for it
    if mode == "cluster" or facts.get("cluster_enabled"):
        return CLUSTER
    if mode == "sentinel":
        return "it is a sentinel: redis+sentinel://host:26379/mymaster/0"
    if tuple(int(part) for part in speaks.split(".")[:2] if part.isdigit()) < OLDEST:
        return f"it is {kind} {version}, and {'.'.join(map(str, OLDEST))} is the oldest that works"
    if facts.get("role") in ("slave", "replica"):
        return "it is a replica and takes nothing: name the master, or the sentinels (redis+sentinel://)"
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and int(facts.get("maxmemory") or 0) > 0:
        return f"it would throw jobs away when it is full (maxmemory-policy {policy}): set maxmemory-policy noeviction"
    return None


def _notice(facts: dict[str, Any]) -> str | None:
    if facts.get("aof_enabled") == 0:
        return (
            "The shared store keeps no append-only file, so a job that it accepted is lost if it ends without warning: "
            "set appendonly yes in its configuration."
        )
    return None
