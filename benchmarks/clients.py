"""How a client fares on a real server: waiting, a run that ends outside its nodes, priorities, a kill. Stock and Expeditor in turns.

All times in seconds. Knows no aim and prints nothing.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import requests
import websocket

from benchmarks import prompts
from benchmarks.sides import Side
from tests.support.waiting import wait_until

POLL_S = 1.0
JOB_S = 0.2
URGENT, USUAL = 9, 3


@dataclass(frozen=True, slots=True)
class Waits:
    """Of one way to wait: requests per job, and how long after the job's end the client knew (the median)."""

    requests: float
    delay_s: float


def by_socket(one: Side, jobs: int, first_seed: int) -> Waits:
    """Listen for `executing` with node null; the delay is against ComfyUI's own time stamp of the end."""
    client = "bench-listens"
    socket = websocket.create_connection(f"{one.server.ws_url}?clientId={client}", timeout=60)
    delays: list[float] = []
    try:
        for n in range(jobs):
            job_id = one.submit(_sleepy(first_seed + n), client)
            _hear_end(socket, job_id)
            knew_at = time.time()
            delays.append(knew_at - _ended_at(one, job_id))
    finally:
        socket.close()
    return Waits(1.0, statistics.median(delays))


def by_polling(one: Side, jobs: int, first_seed: int) -> Waits:
    """Ask `/history/{id}` every second."""
    delays: list[float] = []
    asked = 0
    with requests.Session() as session:
        for n in range(jobs):
            job_id = one.submit(_sleepy(first_seed + n), "bench-polls")
            asked += 1
            while True:
                asked += 1
                if session.get(f"{one.server.url}/history/{job_id}", timeout=30).json():
                    break
                time.sleep(POLL_S)
            knew_at = time.time()
            delays.append(knew_at - _ended_at(one, job_id))
    return Waits(asked / jobs, statistics.median(delays))


def dead_worker_s(one: Side, patience_s: float) -> float | None:
    """Until a client hears the end of a job whose node raises SystemExit, which ends stock's worker thread; None: not in time."""
    client = "bench-dead"
    socket = websocket.create_connection(f"{one.server.ws_url}?clientId={client}", timeout=patience_s)
    try:
        start = time.perf_counter()
        job_id = one.submit({"1": {"class_type": "ExpeditorTestRaisesSystemExit", "inputs": {"code": 3}}}, client)
        _hear_end(socket, job_id)
        return time.perf_counter() - start
    except websocket.WebSocketTimeoutException:
        return None
    finally:
        socket.close()


@dataclass(frozen=True, slots=True)
class Completion:
    """Mean seconds from submit to end, of urgent jobs, of the others, and of the last job of all."""

    urgent_s: float
    usual_s: float
    all_s: float


def completion(one: Side, jobs: int, first_seed: int) -> Completion:
    """A batch of equal jobs posted at once, every fifth urgent; on stock the priority is not known and ignored."""
    client = "bench-mixed"
    socket = websocket.create_connection(f"{one.server.ws_url}?clientId={client}", timeout=120)
    ours = one.name != "stock"
    try:
        start = time.perf_counter()
        urgent: dict[str, bool] = {}
        for n in range(jobs):
            priority = URGENT if n % 5 == 4 else USUAL
            body: dict[str, Any] = {"prompt": _sleepy(first_seed + n), "client_id": client}
            if ours:
                body["_priority"] = priority
            urgent[one.server.post("/prompt", json=body).json()["prompt_id"]] = priority == URGENT
        ends: dict[str, float] = {}
        while len(ends) < jobs:
            job_id = _hear_end(socket, None)
            ends[job_id] = time.perf_counter() - start
    finally:
        socket.close()
    return Completion(
        statistics.mean(ends[job_id] for job_id, is_urgent in urgent.items() if is_urgent),
        statistics.mean(ends[job_id] for job_id, is_urgent in urgent.items() if not is_urgent),
        max(ends.values()),
    )


@dataclass(frozen=True, slots=True)
class Kill:
    """After SIGKILL with jobs waiting: seconds until the new process answers and until a job of before runs; what came back."""

    answers_s: float
    runs_s: float | None
    kept: int
    accepted: int


def kill(one: Side, jobs: int, first_seed: int) -> Kill:
    """Queue jobs behind a long one, kill the process, start it again."""
    gate = f"bench-kill-{first_seed}"
    one.submit(prompts.gate(gate), "bench-kill")
    wait_until(lambda: one.server.get("/queue").json()["queue_running"], what="the gate reached")
    accepted = {one.submit(_sleepy(first_seed + n), "bench-kill") for n in range(jobs)}
    one.server.kill()
    (one.server.base / "input" / gate).touch()
    start = time.perf_counter()
    one.server.start()
    answers_s = time.perf_counter() - start
    queue = one.server.get("/queue").json()
    known = {entry[1] for entry in queue["queue_running"] + queue["queue_pending"]} | set(
        one.server.get("/history").json()
    )
    kept = len(accepted & known)
    runs_s = None
    if kept:
        wait_until(lambda: accepted & set(one.server.get("/history").json()), 60, what="a job of before the kill run")
        runs_s = time.perf_counter() - start
        wait_until(lambda: one.remaining() == 0, 120, what="all jobs of before the kill run")
    return Kill(answers_s, runs_s, kept, jobs)


def medians(found: Sequence[Waits]) -> Waits:
    """Over rounds."""
    return Waits(statistics.median(one.requests for one in found), statistics.median(one.delay_s for one in found))


def _sleepy(seed: int) -> dict[str, Any]:
    return {"1": {"class_type": "ExpeditorTestSleepy", "inputs": {"seconds": JOB_S, "steps": 1, "salt": seed}}}


def _hear_end(socket: websocket.WebSocket, job_id: str | None) -> str:
    while True:
        frame = socket.recv()
        if not isinstance(frame, str):
            continue
        message = json.loads(frame)
        if message["type"] == "executing" and message["data"]["node"] is None:
            ended = str(message["data"]["prompt_id"])
            if job_id in (None, ended):
                return ended


def _ended_at(one: Side, job_id: str) -> float:
    entry = one.server.get(f"/history/{job_id}").json()[job_id]
    stamps = [fields["timestamp"] for event, fields in entry["status"]["messages"] if event == "execution_success"]
    return float(stamps[-1]) / 1e3
