"""`dev.py serve --instances N`: a Redis and N ComfyUIs that share one queue on it, in the foreground.

Owns who is started with which folder, port and address, and what is printed when all answer. The first instance is the one
whose page is opened: it has the person's workflows, settings and pictures, and the jobs run on whichever is free. The
processes are `children`'s.
"""

from __future__ import annotations

import json
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from . import debian
from .cache import Cache, try_lock
from .children import Family, Program
from .console import SetupError, say
from .environment import Setup, ensure_full
from .serve import (
    ServeOptions,
    answers,
    check_port,
    comfyui_command,
    devices,
    lay_out,
    link_folder,
    url_of,
)

INSTANCES_MAX = 32
SHARED_FOLDERS = ("models", "custom_nodes")
OWN_FOLDERS = ("input", "output", "user")
STORE = "EXPEDITOR_STORE"
REDIS_PING_S = 2.0
# Answers are kept on disk before they are given, and nothing is ever thrown out to make room.
REDIS_MANNERS = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction")

NEXT = """
{count} ComfyUI(s) with Expeditor share one queue:  {url}
    the page            {url}/        (jobs run on whichever instance is free)
    the instances       {each}
                        (a program may talk to any of them about any job)
    who is there        {url}/expeditor/workers
    the queue           {url}/expeditor/queue
    six jobs at once    curl -s {url}/expeditor/batches -d '{{"prompt": {{\
"1": {{"class_type": "EmptyImage", "inputs": {{"width": 256, "height": 256, "batch_size": 1, "color": 0}}}}, \
"2": {{"class_type": "SaveImage", "inputs": {{"images": ["1", 0], "filename_prefix": "hello"}}}}}}, \
"sweep": {{"product": {{"1.color": [255, 65280, 16711680], "1.width": [256, 512]}}}}}}'
    the shared queue    {store}
    its data            {data}
    an instance that dies is started again; its jobs go on elsewhere meanwhile
    stop                Ctrl-C
"""
NOT_SHARING = """
{name} ({url}) answers, but does not share the queue: {why}
"""


@dataclass(frozen=True)
class Place:
    """One instance: its name, its port, its base directory."""

    name: str
    port: int
    base: Path
    url: str


def serve_several(options: ServeOptions, cache: Cache, checkout: Path) -> int:
    """Set up, start all, wait; the exit code of the first instance, or of the program that had to be given up."""
    data = (options.data or cache.root / "data").expanduser().absolute()
    given = given_store(options, os.environ)
    places = places_of(options, data)
    redis_port = None if given else options.port + options.instances
    check_ports(options, places, redis_port)
    redis = None if given else debian.ensure_redis(cache)
    setup = ensure_full(cache, checkout, options.comfyui, several=True)
    for place in places:
        lay_out_place(place, data, checkout)
    check_ports(options, places, redis_port)  # a first set-up takes minutes
    with nullcontext(0) if given else _only_one(data / "redis") as lock:
        first = None if redis is None or redis_port is None else redis_program(redis, redis_port, data / "redis", lock)
        store = given or f"redis://127.0.0.1:{redis_port}/0"
        programs = _instances(setup, options, places, store, named=given is None)
        return Family(first, programs, lambda: _tell(places, store, data)).run()


def given_store(options: ServeOptions, environ: Mapping[str, str]) -> str | None:
    """The address of a Redis that is there already: --redis, else EXPEDITOR_STORE; None when one has to be started."""
    if environ.get("EXPEDITOR_DATA_DIR"):
        raise SetupError("EXPEDITOR_DATA_DIR is set: several instances cannot share that folder. Unset it.")
    given = options.redis or environ.get(STORE) or None
    if given is not None and "://" not in given:
        raise SetupError(f"{STORE} is {given}, which several instances cannot share. Unset it, or take --redis URL.")
    return given


def places_of(options: ServeOptions, data: Path) -> list[Place]:
    """Where each instance lives: the first in the data folder itself, as a server that is alone."""
    if options.port + options.instances > 65535:
        raise SetupError(f"--port {options.port} leaves no ports for {options.instances} instances and their Redis.")
    names = [f"gpu{number + 1}" for number in range(options.instances)]
    return [
        Place(
            name,
            options.port + number,
            data / "instances" / name if number else data,
            url_of(options.listen, options.port + number),
        )
        for number, name in enumerate(names)
    ]


def check_ports(options: ServeOptions, places: list[Place], redis_port: int | None) -> None:
    """SetupError unless all ports can be had."""
    for place in places:
        check_port(options.listen, place.port)
    if redis_port is not None:
        check_port("127.0.0.1", redis_port)


def lay_out_place(place: Place, data: Path, checkout: Path) -> None:
    """ComfyUI's folders of one instance. Models and custom nodes are the first one's, unless the instance was given its own."""
    lay_out(data, checkout)
    if place.base == data:
        return
    try:
        for name in OWN_FOLDERS:
            (place.base / name).mkdir(parents=True, exist_ok=True)
        for name in SHARED_FOLDERS:
            link = place.base / name
            if link.is_symlink() and link.resolve() != (data / name).resolve():
                link.unlink()
            if not link.exists():
                link_folder(link, data / name)
    except OSError as fault:
        raise SetupError(f"cannot prepare {place.base}: {fault}") from fault


@contextmanager
def _only_one(folder: Path) -> Generator[int]:
    """One such server per data folder. Redis inherits the lock: one that was left behind still holds its files."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+", encoding="utf-8") as file:
        if not try_lock(file):
            raise SetupError(
                f"{folder} is in use by another `dev.py serve` (or the Redis it left): take another --data folder."
            )
        yield file.fileno()


def redis_program(path: str, port: int, folder: Path, lock: int) -> Program:
    """A Redis of this server's own, for this machine only."""
    where = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--daemonize", "no")
    return Program(
        "redis",
        [path, *where, *REDIS_MANNERS, "--loglevel", "warning"],
        folder,
        lambda: redis_answers(port),
        keeps=(lock,),
    )


def redis_answers(port: int) -> bool:
    """Whether a Redis on this machine has its data in memory and serves."""
    try:
        with socket.create_connection(("127.0.0.1", port), REDIS_PING_S) as line:
            line.settimeout(REDIS_PING_S)
            line.sendall(b"PING\r\n")
            return line.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def _instances(setup: Setup, options: ServeOptions, places: list[Place], store: str, *, named: bool) -> list[Program]:
    """On a Redis that others may share, the names are left to the instances: host and port make them unlike."""
    programs: list[Program] = []
    for place, device in zip(places, devices(setup, options), strict=True):
        command = [*comfyui_command(setup, options, place.port, place.base), *device]
        say(f"    {place.name}: {' '.join(command)}")
        env = {STORE: store, "PYTHONUNBUFFERED": "1"}
        if named:
            env["EXPEDITOR_INSTANCE"] = place.name
        asked = f"{place.url}/system_stats"
        programs.append(Program(place.name, command, place.base, lambda asked=asked: answers(asked), env))
    return programs


def _tell(places: list[Place], store: str, data: Path) -> None:
    each = ", ".join(f"{place.name} {place.url}" for place in places)
    say(NEXT.format(count=len(places), url=places[0].url, each=each, store=without_password(store), data=data))
    for place in places:
        if why := not_sharing(place.url):
            say(NOT_SHARING.format(name=place.name, url=place.url, why=why))


def not_sharing(url: str) -> str:
    """Why an instance is no member of the shared queue; empty when it is one."""
    try:
        with urllib.request.urlopen(f"{url}/expeditor/health", timeout=10) as answer:  # noqa: S310 - our own http address
            health: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as refusal:
        with refusal:
            if refusal.code != 503:
                return 'Expeditor did not load: look for "expeditor" in what stands above.'
            health = json.load(refusal)
    except (OSError, ValueError) as fault:
        return str(fault)
    store: dict[str, Any] = health.get("store") or {}
    return "" if store.get("open") else str(health.get("fault") or store.get("error") or "its store is not open")


def without_password(store: str) -> str:
    """An address that may be shown."""
    parts = urlsplit(store)
    user, at, host = parts.netloc.rpartition("@")
    shown = f"{user.partition(':')[0]}:***@" if at else ""
    return urlunsplit(parts._replace(netloc=f"{shown}{host}", query=""))
