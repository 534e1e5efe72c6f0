"""A real Redis (or Valkey) for tests: one server, or a master with a replica and three sentinels, on free ports in a temporary folder.

Owns the processes and their data. Does not know what is kept in them: tests get an address and a client of their own.
`dev.py test` installs the program; ``EXPEDITOR_REDIS`` may name another, for example a ``valkey-server``.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import pytest
import redis

from tests.support.certificates import Certificates
from tests.support.comfy_server import free_port
from tests.support.waiting import wait_until

HOST = "127.0.0.1"
MASTER_NAME = "mymaster"
NAMES = ("redis-server", "valkey-server")
TRIES = 5  # of finding a port that nobody takes before the server has it


def program() -> str | None:
    """The server's program, or None."""
    named = os.environ.get("EXPEDITOR_REDIS")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


def need_redis() -> str:
    """The server's program; skips the test where there is none."""
    found = program()
    if found is None:
        pytest.skip("needs a Redis: install the Debian package redis-server (EXPEDITOR_REDIS may name a program)")
    return found


class RedisServer:
    """One server. Its data and its port outlive ``kill`` and ``start``; all goes with ``close``."""

    def __init__(
        self,
        *,
        aof: Literal["everysec", "always"] | None = "everysec",
        password: str | None = None,
        tls: Certificates | None = None,
        maxmemory_bytes: int | None = None,
        port: int | None = None,
        args: Sequence[str] = (),
        data_dir: Path | None = None,
    ) -> None:
        """``tls``: speaks nothing else, and asks its clients for a certificate. ``args``: appended to the command line, the last
        one wins. ``data_dir``: a temporary one, removed at the end, when None."""
        self._program = need_redis()
        self._aof, self._password, self._tls, self._maxmemory_bytes = aof, password, tls, maxmemory_bytes
        self._held = False
        self._fixed_port = port is not None
        self.port = port or free_port()
        self._args = args
        self._data_dir = data_dir
        self.folder = data_dir or Path(tempfile.mkdtemp(prefix="expeditor-redis-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RedisServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The address as the setting ``store`` takes it."""
        login = f":{self._password}@" if self._password else ""
        if self._tls is None:
            return f"redis://{login}{HOST}:{self.port}/0"
        return f"rediss://{login}{HOST}:{self.port}/0?{self._tls.query}"

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives (it may be stopped by ``stop_world``)."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> RedisServer:
        """Start it, or start it again on the same data and port; waits until it answers."""
        assert not self.running, "the server runs already"
        for _ in range(TRIES):
            self._spawn()
            wait_until(lambda: self._answers() or not self.running, what="an answer of the Redis server")
            if self.running:
                self._held = True
                return self
            if self._tls is not None and "tls" in self.log.lower():
                pytest.skip(f"{self._program} is built without TLS")
            if self._held or self._fixed_port:
                break
            self.port = free_port()
        raise AssertionError(f"the Redis server ended at once:\n{self.log}")

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it if it lives, and start it again with the same data on the same port."""
        self.kill()
        self.start()

    def stop_world(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def flush(self) -> None:
        """FLUSHALL."""
        with self.client() as client:
            client.flushall()

    def client(self, **options: Any) -> redis.Redis:
        """A new client of the test's own; use it as a context manager, which closes it."""
        given: dict[str, Any] = {
            "host": HOST,
            "port": self.port,
            "password": self._password,
            "socket_timeout": 20.0,
            **options,
        }
        if self._tls is not None:
            given |= {"ssl": True, **self._tls.client_options}
        return redis.Redis(**given)

    @property
    def log_path(self) -> Path:
        """What all runs said, in order."""
        return self.folder / "redis.test.log"

    @property
    def log(self) -> str:
        """What the server has said."""
        paths = (self.folder / "start.log", self.log_path)
        return "".join(path.read_text(encoding="utf-8", errors="replace") for path in paths if path.is_file())

    def close(self) -> None:
        """End it and remove its data."""
        self.kill()
        if self._data_dir is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _spawn(self) -> None:
        conf = self.folder / "redis.conf"
        if not self._held:  # afterwards a sentinel has written into it what it knows
            conf.write_text("\n".join(self._conf()) + "\n", encoding="utf-8")
        # Its output goes to its log file; a file of ours takes what it says before that.
        with (self.folder / "start.log").open("ab") as said:
            self._process = subprocess.Popen(
                [self._program, str(conf), *self._mode(), *self._args],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )

    def _mode(self) -> list[str]:
        return []

    def _conf(self) -> list[str]:
        port = f"port {self.port}" if self._tls is None else f"port 0\ntls-port {self.port}"
        lines = [f"bind {HOST}", port, f"dir {self.folder}", f"logfile {self.log_path}", 'save ""']
        lines += ["unixsocket redis.sock", "maxmemory-policy noeviction"]
        lines += ["appendonly yes", f"appendfsync {self._aof}"] if self._aof else ["appendonly no"]
        if self._password:
            lines += [f"requirepass {self._password}", f"masterauth {self._password}"]
        if self._maxmemory_bytes:
            lines += [f"maxmemory {self._maxmemory_bytes}"]
        return [*lines, *(self._tls.server_lines if self._tls else ())]

    @property
    def socket_path(self) -> Path:
        """Where it listens beside its port."""
        return self.folder / "redis.sock"

    def _answers(self) -> bool:
        try:
            with self.client(socket_timeout=2.0, retry=None) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class _Sentinel(RedisServer):
    """One sentinel; its configuration is its data."""

    def __init__(self, master: RedisServer, *, password: str | None, master_password: str | None) -> None:
        super().__init__(aof=None, password=password)
        self._watched = [
            f"sentinel monitor {MASTER_NAME} {HOST} {master.port} 2",
            f"sentinel down-after-milliseconds {MASTER_NAME} 1000",
            f"sentinel failover-timeout {MASTER_NAME} 5000",
        ]
        if master_password:
            self._watched.append(f"sentinel auth-pass {MASTER_NAME} {master_password}")

    def _mode(self) -> list[str]:
        return ["--sentinel"]

    def _conf(self) -> list[str]:
        secret = [f"requirepass {self._password}"] if self._password else []
        return [
            f"bind {HOST}",
            f"port {self.port}",
            f"dir {self.folder}",
            f"logfile {self.log_path}",
            *secret,
            *self._watched,
        ]

    def ready(self) -> bool:
        """Whether it knows the master, its replica and the two other sentinels."""
        with self.client() as client:
            facts: dict[str, Any] = client.sentinel_master(MASTER_NAME)
        return (facts["num-slaves"], facts["num-other-sentinels"]) == (1, 2) and facts["flags"] in (
            "master",
            {"master"},
        )


class Sentinels:
    """A master, its replica and three sentinels that agree on them."""

    def __init__(self, *, password: str | None = None, sentinel_password: str | None = None) -> None:
        """``password``: of master and replica."""
        self._password, self._sentinel_password = password, sentinel_password
        self.master = RedisServer(password=password)
        self.replica = RedisServer(password=password, args=("--replicaof", HOST, str(self.master.port)))
        self.sentinels: list[_Sentinel] = []

    def __enter__(self) -> Sentinels:
        self.master.start()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        self.replica.start()
        wait_until(self._replicates, what="the replica to follow")
        for _ in range(3):
            one = _Sentinel(self.master, password=self._sentinel_password, master_password=self._password)
            self.sentinels.append(one)
            one.start()
        wait_until(lambda: all(one.ready() for one in self.sentinels), 40.0, 0.1, "the sentinels to agree")

    def _replicates(self) -> bool:
        with self.replica.client() as client:
            facts: dict[str, Any] = client.info("replication")
        return facts["role"] == "slave" and facts["master_link_status"] == "up"

    @property
    def hosts(self) -> str:
        """``host:port`` of the sentinels, with commas."""
        return ",".join(f"{HOST}:{one.port}" for one in self.sentinels)

    @property
    def url(self) -> str:
        """The address as the setting ``store`` takes it."""
        login = f":{self._password}@" if self._password else ""
        secret = f"?sentinel_password={self._sentinel_password}" if self._sentinel_password else ""
        return f"redis+sentinel://{login}{self.hosts}/{MASTER_NAME}/0{secret}"

    def master_port(self) -> int:
        """Whom the first sentinel takes for the master now."""
        with self.sentinels[0].client(decode_responses=True) as client:
            return int(client.sentinel_get_master_addr_by_name(MASTER_NAME)[1])

    def close(self) -> None:
        """End all and remove their data."""
        for one in (*self.sentinels, self.replica, self.master):
            one.close()
