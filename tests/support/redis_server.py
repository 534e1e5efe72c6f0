"""A real redis-server for the tests: started, killed, restarted, on a free loopback port.

Owns the process, its folder and its log. `dev.py test` installs the program; EXPEDITOR_REDIS may name another one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import redis

from tests.support.comfy_server import free_port
from tests.support.waiting import wait_until

DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction")
START_DEADLINE_S = 20.0


@dataclass
class RedisServer:
    """One redis-server with an append-only file, as a context manager; its data outlive kills and restarts."""

    args: Sequence[str] = ()  # appended to the command line; the last one wins
    data_dir: Path | None = None  # a temporary one, removed at the end, when None

    port: int = field(default=0, init=False)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _owned: Path | None = field(default=None, init=False)

    def __enter__(self) -> RedisServer:
        if self.data_dir is None:
            self._owned = self.data_dir = Path(tempfile.mkdtemp(prefix="expeditor-redis-"))
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if self._owned is not None:
            shutil.rmtree(self._owned, ignore_errors=True)
            self._owned = self.data_dir = None

    @property
    def url(self) -> str:
        """The address with the number of its database, e.g. `redis://127.0.0.1:40123/0`."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def log_path(self) -> Path:
        """What all runs said, in order."""
        assert self.data_dir is not None, "only inside the with statement"
        return self.data_dir / "redis.test.log"

    def start(self) -> None:
        """Start and wait until it answers, with its data loaded; on the same port as before."""
        self.port = self.port or free_port()
        program = os.environ.get("EXPEDITOR_REDIS") or "redis-server"
        own = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.data_dir), "--daemonize", "no")
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [program, *own, *DURABLE, *self.args], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        wait_until(self._answers, START_DEADLINE_S, what=f"Redis' answer; its log: {self.log_path}")

    def kill(self) -> None:
        """SIGKILL; nothing happens when it is gone already."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def restart(self) -> None:
        """Kill if it lives, and start again with the same data on the same port."""
        self.kill()
        self.start()

    def client(self) -> redis.Redis:
        """A connection of the test's own; close it."""
        return redis.Redis.from_url(self.url, socket_timeout=10)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log_path.read_text(errors="replace")[-3000:]
        with redis.Redis(port=self.port, socket_timeout=2) as client:
            try:
                return bool(client.ping())
            except redis.AuthenticationError:
                return True
            except redis.RedisError:
                return False
