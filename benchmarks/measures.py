"""The measurements. Each takes the sides to compare, interleaves its rounds (A B B A …), and returns medians per side.

All times in seconds, sizes in bytes. Nothing here knows an aim or prints a table.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import websocket

from benchmarks import prompts
from benchmarks.sides import ROOT, Side, side
from tests.support.comfy_server import comfyui_tree

SEED_STEP = 10_000


@dataclass(frozen=True, slots=True)
class Figure:
    """The median over the rounds, and the lowest and highest round."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Figure:
        """Of at least one value."""
        return Figure(statistics.median(values), min(values), max(values))


Figures = dict[str, Figure]
"""By the name of the side."""


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0–1) of the values lie; nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def interleaved(sides: Sequence[Side], rounds: int) -> Iterator[tuple[int, Side]]:
    """A B, B A, A B, …: what drifts on the machine hits all sides alike."""
    for each in range(rounds):
        for one in sides if each % 2 == 0 else list(reversed(sides)):
            yield each, one


@dataclass(frozen=True, slots=True)
class Submits:
    """Figures of one number of clients."""

    rate: Figures
    p50: Figures
    p99: Figures


def submits(sides: Sequence[Side], clients: int, requests: int, rounds: int) -> Submits:
    """Posts of the 30-node prompt while the worker is busy; every round starts with an empty queue."""
    found: dict[str, list[dict[str, Any]]] = {one.name: [] for one in sides}
    with ExitStack() as stack:
        for one in sides:
            stack.enter_context(one.held())
            one.load(clients, prompts.bodies(clients * 2, clients, first_seed=900_000))
            one.clear()
        for each, one in interleaved(sides, rounds):
            found[one.name].append(one.load(clients, prompts.bodies(requests, clients, each * SEED_STEP)))
            one.clear()

    def figures(take: Callable[[dict[str, Any]], float]) -> Figures:
        return {name: Figure.of([take(run) for run in runs]) for name, runs in found.items()}

    return Submits(
        rate=figures(lambda run: len(run["latencies_s"]) / run["wall_s"]),
        p50=figures(lambda run: percentile(run["latencies_s"], 0.50)),
        p99=figures(lambda run: percentile(run["latencies_s"], 0.99)),
    )


@dataclass(frozen=True, slots=True)
class Gaps:
    """Between two consecutive jobs, as their client hears it."""

    from_end_mark: Figures  # `executing {node: null}` of one → `execution_start` of the next
    from_success: Figures  # `execution_success` of one → `execution_start` of the next: settling included
    worst: Figures  # the 99th percentile of from_success


def gaps(sides: Sequence[Side], jobs: int, rounds: int, *, cached: bool) -> Gaps:
    """`jobs` small prompts wait behind a gate, then run one after the other."""
    found: dict[str, list[dict[str, list[float]]]] = {one.name: [] for one in sides}
    for each, one in interleaved(sides, rounds):
        colors = [1] * jobs if cached else [each * SEED_STEP + index + 2 for index in range(jobs)]
        found[one.name].append(_one_row(one, f"gate-{each}-{cached}", colors))

    def figures(key: str, take: Callable[[list[float]], float]) -> Figures:
        return {name: Figure.of([take(run[key]) for run in runs]) for name, runs in found.items()}

    return Gaps(
        from_end_mark=figures("end", statistics.median),
        from_success=figures("success", statistics.median),
        worst=figures("success", lambda values: percentile(values, 0.99)),
    )


def _one_row(one: Side, gate: str, colors: Sequence[int]) -> dict[str, list[float]]:
    client = "bench-gaps"
    socket = websocket.create_connection(f"{one.server.ws_url}?clientId={client}", timeout=120)
    try:
        one.submit(prompts.gate(gate), client)
        for color in colors:
            one.submit(prompts.small(color), client)
        (one.server.base / "input" / gate).touch()
        heard = _hear(socket, runs=len(colors) + 1)
    finally:
        socket.close()
    found: dict[str, list[float]] = {"end": [], "success": []}
    for (kind, at), (next_kind, next_at) in itertools.pairwise(heard):
        if next_kind == "start" and kind == "end":
            found["end"].append(next_at - at)
    successes = [at for kind, at in heard if kind == "success"]
    starts = [at for kind, at in heard if kind == "start"]
    found["success"] = [start - success for success, start in zip(successes, starts[1:], strict=False)]
    return found


def _hear(socket: websocket.WebSocket, runs: int) -> list[tuple[str, float]]:
    heard: list[tuple[str, float]] = []
    ends = 0
    while ends < runs:
        frame = socket.recv()
        now = time.perf_counter()
        if not isinstance(frame, str):
            continue
        message = json.loads(frame)
        if message["type"] == "execution_start":
            heard.append(("start", now))
        elif message["type"] == "execution_success":
            heard.append(("success", now))
        elif message["type"] == "executing" and message["data"]["node"] is None:
            heard.append(("end", now))
            ends += 1
    return heard


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: resident before, and how much more with the jobs waiting; and what a scrape costs meanwhile."""

    before: Figures
    added: Figures
    scrape_s: Figure | None
    scrape_bytes: int


def memory(sides: Sequence[Side], jobs: int) -> Memory:
    """On servers that have not been loaded before: what Python has once taken it seldom gives back."""
    before: Figures = {}
    added: Figures = {}
    scrapes: list[float] = []
    size = 0
    for one in sides:
        with one.held():
            one.load(4, prompts.bodies(40, 4, first_seed=800_000))
            one.clear()
            start = one.rss_bytes()
            one.load(4, prompts.bodies(jobs, 4, first_seed=0))
            before[one.name] = Figure.of([start])
            added[one.name] = Figure.of([one.rss_bytes() - start])
            with requests.Session() as session:  # a scraper keeps its connection
                for _ in range(20):
                    asked = time.perf_counter()
                    answer = session.get(one.server.url + "/expeditor/metrics", timeout=30)
                    if answer.status_code == 200:
                        scrapes.append(time.perf_counter() - asked)
                        size = len(answer.content)
    return Memory(before, added, Figure.of(scrapes) if scrapes else None, size)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Of one prompt full of faults."""

    seconds: Figures
    size: dict[str, int]


def refusals(sides: Sequence[Side], nodes: int, rounds: int) -> Refusal:
    """`POST /prompt` with so many faulty nodes."""
    body = json.dumps({"prompt": prompts.faulty(nodes), "client_id": "bench-faulty"})
    found: dict[str, list[float]] = {one.name: [] for one in sides}
    size: dict[str, int] = {}
    for _, one in interleaved(sides, rounds):
        start = time.perf_counter()
        answer = one.server.post("/prompt", data=body, headers={"Content-Type": "application/json"})
        found[one.name].append(time.perf_counter() - start)
        size[one.name] = len(answer.content)
        if answer.status_code != 400:
            raise RuntimeError(f"{one.name} answers {answer.status_code} to a faulty prompt: {answer.text[:300]}")
    return Refusal({name: Figure.of(values) for name, values in found.items()}, size)


def start_ups(rounds: int) -> Figures:
    """From process start to the first answer of `/system_stats`; asked every 0.1 s."""
    found: dict[str, list[float]] = {"stock": [], "expeditor": []}
    for each in range(rounds):
        for name in ("stock", "expeditor") if each % 2 == 0 else ("expeditor", "stock"):
            start = time.perf_counter()
            with side(name, with_expeditor=name == "expeditor"):
                found[name].append(time.perf_counter() - start)
    return {name: Figure.of(values) for name, values in found.items()}


def pack_imports(rounds: int) -> Figure:
    """Reading all modules of the pack in a process that has already read ComfyUI's own, as its loader would."""
    script = ROOT / "benchmarks/pack_import.py"
    found: list[float] = []
    for _ in range(rounds):
        command = [sys.executable, str(script), "--cpu"]
        run = subprocess.run(command, cwd=comfyui_tree(), capture_output=True, text=True, timeout=120, check=True)
        found.append(float(run.stdout.strip().splitlines()[-1]))
    return Figure.of(found)


def commits(folder: Path, rounds: int) -> Figure:
    """One durable commit of a 6 kB row on the disk that the servers use."""
    path = folder / "commit-probe.sqlite"
    found: list[float] = []
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE probe (id INTEGER PRIMARY KEY, body BLOB)")
        for _ in range(rounds):
            start = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO probe (body) VALUES (?)", (b"x" * 6_000,))
            connection.execute("COMMIT")
            found.append(time.perf_counter() - start)
    finally:
        connection.close()
        for file in folder.glob("commit-probe.sqlite*"):
            file.unlink()
    return Figure.of(found)
