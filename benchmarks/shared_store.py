"""What the shared store costs, measured on a real Redis without ComfyUI. Nothing here knows an aim or prints."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bullmq import Queue

from benchmarks.many_members import ears, run_many
from benchmarks.members import (
    DEADLINE_S,
    compressed_bytes,
    ended,
    fill,
    member,
    new_job,
    prompt_json,
    run_executors,
    start_of_member,
)
from tests.support.redis_server import RedisServer

AT_ONCE = 32
WARM_UP = 20
"""Jobs before the clock starts, on both sides: by then connections are made and scripts read and loaded."""


def namespace() -> str:
    """A queue that nobody has used."""
    return f"bench-{uuid.uuid4().hex[:10]}"


@contextmanager
def bound(server: RedisServer) -> Iterator[None]:
    """Redis on one core and what this process starts on another, where the system can do so: on two cores that all threads share, what is
    measured is as much how they push each other about."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:  # noqa: PLR2004 - one for each
        yield
        return
    with server.client() as client:
        redis_pid = int(client.info("server")["process_id"])
    for thread in Path(f"/proc/{redis_pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores[:1])
    os.sched_setaffinity(0, cores[1:2])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def enqueue_rate(server: RedisServer, jobs: int, at_once: int, depth: int = 0) -> float:
    """Jobs per second through our store, ``at_once`` outstanding; each is durable when it counts."""
    with member(server.url, namespace(), "bench") as store:
        fill(store, depth, prefix=7)
        for number in range(WARM_UP):
            store.enqueue(new_job(number, 8)).result(DEADLINE_S)
        new = [new_job(number) for number in range(jobs)]
        began_s = time.perf_counter()
        if at_once == 1:
            for job in new:
                store.enqueue(job).result(DEADLINE_S)
        else:
            asyncio.run(_outstanding([lambda job=job: asyncio.wrap_future(store.enqueue(job)) for job in new], at_once))
        return jobs / (time.perf_counter() - began_s)


def raw_rate(server: RedisServer, jobs: int, at_once: int) -> float:
    """The same with nothing but BullMQ's own ``Queue.add``."""
    return asyncio.run(_raw(server.url, jobs, at_once))


async def _raw(url: str, jobs: int, at_once: int) -> float:
    queue = Queue(namespace(), {"connection": url})
    ready = [
        ({"prompt": prompt_json(n)}, {"priority": 1 + n % 10, "jobId": str(uuid.uuid4())})
        for n in range(WARM_UP + jobs)
    ]
    adds = [lambda one=one: queue.add("job", *one) for one in ready]
    await _outstanding(adds[:WARM_UP], 1)
    began_s = time.perf_counter()
    await _outstanding(adds[WARM_UP:], at_once)
    rate = jobs / (time.perf_counter() - began_s)
    await queue.close()
    return rate


async def _outstanding(calls: list[Any], at_once: int) -> None:
    rest = iter(calls)

    async def submitter() -> None:
        for call in rest:
            await call()

    await asyncio.gather(*(submitter() for _ in range(at_once)))


@dataclass(frozen=True, slots=True)
class Deep:
    """With so many waiting jobs. Bytes are of one waiting job in Redis, in the member's memory, and of its prompt compressed."""

    jobs: int
    filled_s: float
    opened_s: float
    place_s: float
    claim_s: float
    redis_bytes: float
    member_bytes: float
    prompt_bytes: float


def deep(server: RedisServer, jobs: int) -> Deep:
    """Fill a queue, look at places in it, claim from it, open it anew."""
    client, name = server.client(), namespace()
    before_bytes = client.info("memory")["used_memory"]
    with member(server.url, name, "bench") as store:
        began_s = time.perf_counter()
        fill(store, jobs)
        filled_s = time.perf_counter() - began_s
        redis_bytes = (client.info("memory")["used_memory"] - before_bytes) / jobs
        ids = [new_job(number).id for number in range(0, jobs, max(1, jobs // 200))]
        places_s = [_timed(lambda job_id=job_id: store.place(job_id).result(DEADLINE_S)) for job_id in ids]
        claims_s = [_timed(lambda: store.claim().result(DEADLINE_S)) for _ in range(20)]
    start = start_of_member(server.url, name)
    opened_s, member_bytes = start["opened_s"], start["bytes"] / jobs
    client.flushall()
    client.close()
    prompts = statistics.mean(compressed_bytes(number) for number in range(100))
    return Deep(
        jobs,
        filled_s,
        opened_s,
        statistics.median(places_s),
        statistics.median(claims_s),
        redis_bytes,
        member_bytes,
        prompts,
    )


def _timed(call: Any) -> float:
    began_s = time.perf_counter()
    call()
    return time.perf_counter() - began_s


@dataclass(frozen=True, slots=True)
class Executed:
    """``count`` fake executors: ``efficiency`` is the time that the sleeping alone takes, of the time that it took."""

    count: int
    jobs: int
    rate: float
    efficiency: float
    between_s: float


def executed(server: RedisServer, count: int, jobs_each: int, run_s: float) -> Executed:
    """Throughput of jobs that sleep."""
    name = namespace()
    with member(server.url, name, "bench") as store:
        fill(store, count * jobs_each)
    seen = run_executors(server.url, name, count, run_s)
    took_s = max(one["ended"][0] for one in seen) - min(one["began"][0] for one in seen)
    jobs = sum(one["jobs"] for one in seen)
    between_s = statistics.median(value for one in seen for value in one["between_s"])
    return Executed(count, jobs, jobs / took_s, jobs_each * run_s / took_s, between_s)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one job from enqueue to end, with ``listeners`` other members that only hear of it. ``redis_s``: processor time of Redis;
    ``lua_s``: of that, in scripts; ``sent``: bytes to and from Redis; ``member_s``: processor time of one listening member."""

    listeners: int
    calls: dict[str, float]
    redis_s: float
    lua_s: float
    received_bytes: float
    sent_bytes: float


def cost(server: RedisServer, jobs: int, listeners: int, *, real: bool = True) -> Cost:
    """One job after the other, alone in the queue: enqueue, claim, finish. ``real``: the listeners are members, else ears alone."""
    client, name = server.client(), namespace()
    listening = _listening(server.url, name, listeners) if real else ears(server.url, name, listeners)
    with listening, member(server.url, name, "bench") as store:
        _live(store, 20, 1)
        client.config_resetstat()
        before = client.info()
        _live(store, jobs, 2)
        after, stats = client.info(), client.info("commandstats")
    client.close()
    calls = {command.removeprefix("cmdstat_"): told["calls"] / jobs for command, told in stats.items()}
    lua_s = sum(told["usec"] for command, told in stats.items() if command.startswith("cmdstat_eval")) / 1e6 / jobs
    used = [sum(info[f"used_cpu_{kind}"] for kind in ("user", "sys")) for info in (before, after)]
    return Cost(
        listeners,
        {name: round(count, 2) for name, count in sorted(calls.items()) if count >= 0.02},
        (used[1] - used[0]) / jobs,
        lua_s,
        (after["total_net_input_bytes"] - before["total_net_input_bytes"]) / jobs,
        (after["total_net_output_bytes"] - before["total_net_output_bytes"]) / jobs,
    )


def _live(store: Any, jobs: int, prefix: int) -> None:
    for number in range(jobs):
        store.enqueue(new_job(number, prefix)).result(DEADLINE_S)
        claim = store.claim().result(DEADLINE_S)
        assert claim is not None, "it waits"
        store.finish(claim.job.id, claim.attempt, ended(0.5)).result(DEADLINE_S)


@dataclass(frozen=True, slots=True)
class Crowded:
    """``count`` real members, many to a process. ``share``: of the rate that the sleeping alone allows; ``redis_load``: of one core."""

    count: int
    run_s: float
    rate: float
    share: float
    redis_load: float
    between_s: float


def crowded(server: RedisServer, count: int, jobs_each: int, run_s: float) -> Crowded:
    """Members that sleep ``run_s`` for each job, until all are done."""
    client, name = server.client(), namespace()
    with member(server.url, name, "bench") as store:
        fill(store, count * jobs_each)
    before = _used_s(client)
    seen = run_many(server.url, name, count, min(count, 4), run_s)
    used_s = _used_s(client) - before
    client.close()
    worked = [one for one in seen if one["jobs"]]
    took_s = max(one["ended"][0] for one in worked) - min(one["began"][0] for one in worked)
    jobs = sum(one["jobs"] for one in worked)
    between_s = statistics.median(value for one in worked for value in one["between_s"])
    return Crowded(count, run_s, jobs / took_s, jobs * run_s / took_s / count, used_s / took_s, between_s)


def _used_s(client: Any) -> float:
    info = client.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


class _listening:  # noqa: N801 - used as a function
    """Other members, in this process."""

    def __init__(self, url: str, name: str, count: int) -> None:
        self._open = [member(url, name, f"listener{number}") for number in range(count)]

    def __enter__(self) -> None:
        for one in self._open:
            one.__enter__()

    def __exit__(self, *fault: object) -> None:
        for one in self._open:
            one.__exit__(None, None, None)


def told(cost_: Cost) -> str:
    """Its commands in one line."""
    return json.dumps(cost_.calls)
