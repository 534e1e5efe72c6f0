"""dev.py serve --instances N before anything runs: ports, folders, addresses, the Redis of its own."""

from __future__ import annotations

import random
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from aiohttp import web

from expeditor.devtools import debian, several
from expeditor.devtools.cache import Cache
from expeditor.devtools.console import SetupError
from expeditor.devtools.serve import ServeOptions
from tests.support.comfy_server import free_port
from tests.support.redis_server import need_redis
from tests.support.served import Served
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]


def options(port: int = 8188, instances: int = 3, redis: str | None = None) -> ServeOptions:
    return ServeOptions(port, "127.0.0.1", None, None, instances=instances, redis=redis)


def test_the_first_instance_lives_in_the_data_folder_as_a_server_that_is_alone(tmp_path: Path) -> None:
    places = several.places_of(options(), tmp_path)
    assert [(place.name, place.port) for place in places] == [("gpu1", 8188), ("gpu2", 8189), ("gpu3", 8190)]
    assert [place.base.relative_to(tmp_path).as_posix() for place in places] == [
        ".",
        "instances/gpu2",
        "instances/gpu3",
    ]
    with pytest.raises(SetupError, match="leaves no ports"):
        several.places_of(options(port=65534), tmp_path)


def test_models_and_custom_nodes_are_shared_and_a_person_s_own_are_kept(tmp_path: Path) -> None:
    first, second, third = several.places_of(options(), tmp_path)
    (third.base / "models").mkdir(parents=True)
    for _ in range(2):
        for place in (first, second, third):
            several.lay_out_place(place, tmp_path, ROOT)
    (tmp_path / "models" / "one.safetensors").touch()
    assert (second.base / "models" / "one.safetensors").exists()
    assert (second.base / "custom_nodes" / "expeditor").resolve() == ROOT
    assert not (third.base / "models" / "one.safetensors").exists()
    assert not (second.base / "output").is_symlink()


def first_of(count: int) -> int:
    """The first of so many free ports in a row, below those that systems give to outgoing connections."""
    for first in range(random.randrange(12_000, 28_000), 30_000, count):
        with ExitStack() as tried:
            try:
                for port in range(first, first + count):
                    tried.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise AssertionError("no ports are free")


@pytest.mark.parametrize("taken", [0, 2, 3])
def test_a_taken_port_of_any_of_them_is_said(taken: int) -> None:
    with socket.socket() as held:
        port = first_of(4)
        held.bind(("127.0.0.1", port + taken))
        held.listen()
        places = several.places_of(options(port=port), Path())
        with pytest.raises(SetupError, match=rf"port {port + taken} of 127\.0\.0\.1 cannot be used"):
            several.check_ports(options(port=port), places, port + 3)


def test_a_redis_that_is_there_is_taken_from_the_command_line_or_the_environment() -> None:
    there = "redis://queue:6379/2"
    assert several.given_store(options(), {}) is None
    assert several.given_store(options(), {several.STORE: there}) == there
    assert several.given_store(options(redis=there), {several.STORE: "redis://other"}) == there
    with pytest.raises(SetupError, match="EXPEDITOR_STORE is sqlite, which several instances cannot share"):
        several.given_store(options(), {several.STORE: "sqlite"})
    with pytest.raises(SetupError, match="EXPEDITOR_DATA_DIR"):
        several.given_store(options(), {"EXPEDITOR_DATA_DIR": "/data"})


@pytest.mark.parametrize(
    ("store", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("rediss://:secret@h:1/0", "rediss://:***@h:1/0"),
        ("redis://me:secret@h:1/0?ssl_keyfile_password=x", "redis://me:***@h:1/0"),
    ],
)
def test_no_password_is_shown(store: str, shown: str) -> None:
    assert several.without_password(store) == shown


def test_its_own_redis_keeps_what_it_is_given_and_holds_the_folder_as_long_as_it_lives(tmp_path: Path) -> None:
    need_redis()
    folder, port = tmp_path / "redis", free_port()
    assert not several.redis_answers(port)
    with several._only_one(folder) as lock:
        program = several.redis_program(debian.ensure_redis(Cache(tmp_path)), port, folder, lock)
        process = subprocess.Popen(program.command, cwd=folder, pass_fds=program.keeps)
    try:
        wait_until(program.answers, what="Redis")
        with redis.Redis(port=port) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            client.set("kept", "yes")
        with pytest.raises(SetupError, match="is in use by another"), several._only_one(folder):
            pass
    finally:
        process.kill()
        process.wait(10)
    assert b"kept" in b"".join(file.read_bytes() for file in folder.glob("appendonlydir/*.aof"))
    with several._only_one(folder):
        pass


@pytest.mark.parametrize(
    ("status", "health", "why"),
    [
        (200, {"fault": None, "store": {"open": True}}, ""),
        (503, {"fault": "no Redis at h", "store": {"open": False, "error": None}}, "no Redis at h"),
        (503, {"fault": None, "store": {"open": False, "error": "later"}}, "later"),
        (404, {}, "Expeditor did not load"),
    ],
)
def test_an_instance_that_does_not_share_the_queue_is_told(status: int, health: dict[str, Any], why: str) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(health, status=status)

    app = web.Application()
    app.router.add_get("/expeditor/health", answer)
    with Served(app) as served:
        told = several.not_sharing(served.url)
    assert why in told
    assert bool(told) == bool(why)
