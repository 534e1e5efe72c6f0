"""A real Redis and real ComfyUIs that share it: `EXPEDITOR_STORE` and nothing else makes them one queue.

Owns the processes, a namespace of its own, and the folder that keeps their logs when a test fails. Does not know what
is tested.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.support.comfy_server import ROOT, RealComfyUI
from tests.support.network import Network
from tests.support.redis_server import HOST, RedisServer

TEST_NODES = ROOT / "tests/support/packs/expeditor_test_nodes"


@dataclass
class RealCluster:
    """`count` ComfyUIs, `gpu1` onwards, on one Redis, as a context manager; each has a base directory of its own.

    `roles[i]` and `env[i]` are those of the i-th, `shared_env` is everybody's. A `bare` instance is told nothing but the
    address of Redis and what `env` says. With a `network` the last one runs inside it, Redis is at its `first` address and the other
    instances at its `second`. All that they wrote is kept, and said where, when `keep` is set or the `with` statement is left
    by an exception.
    """

    count: int = 2
    roles: Sequence[Sequence[str]] = ()
    env: Sequence[Mapping[str, str]] = ()
    shared_env: Mapping[str, str] = field(default_factory=dict[str, str])
    packs: Sequence[Path] = (TEST_NODES,)
    args: Sequence[str] = ()
    redis_args: Sequence[str] = ()
    bare: bool = False
    network: Network | None = None

    keep: bool = field(default_factory=lambda: "KEEP_CLUSTER" in os.environ, init=False)
    instances: list[RealComfyUI] = field(default_factory=list[RealComfyUI], init=False)
    redis: RedisServer = field(init=False)
    namespace: str = field(init=False)
    _folder: Path = field(init=False)
    _open: ExitStack = field(default_factory=ExitStack, init=False)

    def __enter__(self) -> RealCluster:
        self.namespace = f"test-{uuid.uuid4().hex[:12]}"
        self._folder = Path(tempfile.mkdtemp(prefix="expeditor-cluster-"))
        try:
            for name in ("redis", *self.names):
                (self._folder / name).mkdir()
            args = (*self.redis_args, *self._redis_heard_in_the_network())
            self.redis = self._open.enter_context(RedisServer(args=args, data_dir=self._folder / "redis"))
            self.instances = [self._make(number) for number in range(self.count)]
            with ThreadPoolExecutor(self.count) as starters:
                list(starters.map(self._open.enter_context, self.instances))
        except BaseException as fault:
            self.__exit__(type(fault), fault, fault.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        if error is None and not self.keep:
            shutil.rmtree(self._folder, ignore_errors=True)
        else:
            sys.stderr.write(f"the cluster's folders and logs are kept: {self._folder}/*/*.test.log\n")

    @property
    def names(self) -> list[str]:
        """What the instances are called."""
        return [f"gpu{number + 1}" for number in range(self.count)]

    @property
    def a(self) -> RealComfyUI:
        """The first."""
        return self.instances[0]

    @property
    def b(self) -> RealComfyUI:
        """The second."""
        return self.instances[1]

    @property
    def c(self) -> RealComfyUI:
        """The third."""
        return self.instances[2]

    def logs(self, last_bytes: int = 4000) -> str:
        """The end of everybody's log, for a message."""
        return "\n".join(
            f"--- {name} ---\n{each.log_text()[-last_bytes:]}"
            for name, each in zip(self.names, self.instances, strict=True)
        )

    def _make(self, number: int) -> RealComfyUI:
        own = dict(next(itertools.islice(self.env, number, None), {}))
        roles = next(itertools.islice(self.roles, number, None), None)
        store, place = self.redis.url, dict[str, Any]()
        if self.network is not None and number == self.count - 1:
            store = store.replace(HOST, self.network.first)
            place = {"host": self.network.inside, "within": self.network.command}
        elif self.network is not None:
            place = {"host": self.network.second}
        return RealComfyUI(
            **place,
            packs=self.packs,
            args=self.args,
            data_dir=self._folder / self.names[number],
            env={
                "EXPEDITOR_STORE": store,
                **({} if self.bare else self._told(number)),
                **({"EXPEDITOR_ROLES": json.dumps(list(roles))} if roles else {}),
                **self.shared_env,
                **own,
            },
        )

    def _redis_heard_in_the_network(self) -> tuple[str, ...]:
        return () if self.network is None else ("--bind", HOST, self.network.first, "--protected-mode", "no")

    def _told(self, number: int) -> dict[str, str]:
        return {"EXPEDITOR_STORE_NAMESPACE": self.namespace, "EXPEDITOR_INSTANCE": self.names[number]}


def cluster_of_module(request: pytest.FixtureRequest, **options: Any) -> Iterator[RealCluster]:
    """The body of a module's fixture: a cluster whose logs are kept when a test of the module failed."""
    failed_before = request.session.testsfailed
    with RealCluster(**options) as cluster:
        yield cluster
        cluster.keep = cluster.keep or request.session.testsfailed > failed_before
