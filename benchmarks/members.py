"""Members of a shared queue for benchmarks, without ComfyUI: the real store, and executors that only sleep.

`python benchmarks/members.py URL NAMESPACE NAME RUN_S` is one such fake executor: says `ready`, waits for a line, claims and sleeps and
finishes until nothing can be claimed, and prints what it saw as JSON. Owns no measurement.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
import child_imports  # noqa: F401 - makes `expeditor` and `tests` importable
import psutil

from expeditor.jobs.errors import Conflict, StoreUnavailable
from expeditor.jobs.events import JobEvent
from expeditor.jobs.instances import boot_id_of
from expeditor.jobs.model import Ending, JobStatus, NewJob, Payload, Principal, Source
from expeditor.jobs.ordering import OrderPolicy
from expeditor.store.bullmq.adapter import BullmqStore
from expeditor.store.bullmq.address import parse
from expeditor.store.bullmq.connections import Connections

DEADLINE_S = 120.0
NODES = 30


class Silence:
    """Hears events and commits, and keeps none."""

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """Not kept."""

    def committed(self, duration_s: float, verbs: int) -> None:
        """Not counted."""


@contextmanager
def member(url: str, namespace: str, name: str) -> Iterator[BullmqStore]:
    """An open store on the shared queue."""
    connections = Connections(parse(url), name)
    connections.open()
    store = BullmqStore(
        connections=connections,
        namespace=namespace,
        policy=OrderPolicy(),
        clock=connections.clock,
        boot_id=boot_id_of(name, "bench"),
        publisher=Silence(),
        observer=Silence(),
    )
    store.open()
    try:
        yield store
    finally:
        store.close()
        connections.close()


def prompt_json(seed: int) -> str:
    """A prompt of 30 nodes, as the other benchmarks send it: some 4 kB of JSON."""
    nodes: dict[str, Any] = {"1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "color": seed}}}
    for node in range(2, NODES):
        inputs = {
            "image": [str(node - 1), 0],
            "upscale_method": "bilinear",
            "width": 64 + node,
            "height": 64,
            "crop": "disabled",
        }
        nodes[str(node)] = {"class_type": "ImageScale", "inputs": inputs, "_meta": {"title": f"Scale {node}"}}
    nodes[str(NODES)] = {
        "class_type": "SaveImage",
        "inputs": {"images": [str(NODES - 1), 0], "filename_prefix": "bench"},
    }
    return json.dumps(nodes)


def compressed_bytes(seed: int) -> int:
    """What such a prompt is when compressed."""
    return len(zlib.compress(prompt_json(seed).encode()))


def new_job(number: int, prefix: int = 0) -> NewJob:
    """The number-th job; ids are UUIDs."""
    job_id = f"{prefix:08x}-0000-4000-8000-{number:012x}"
    payload = Payload(prompt_json(number), '{"client_id": "bench"}', f'["{NODES}"]')
    principal, priority = Principal(f"user{number % 8}"), 1 + number % 10
    return NewJob(
        job_id,
        principal,
        priority,
        Source.SUBMIT,
        time.time(),
        float(number),
        payload,
        signature="bench",
        node_count=NODES,
    )


def fill(store: BullmqStore, jobs: int, prefix: int = 0) -> None:
    """So many waiting jobs. A Redis that is busy with its disk is waited for."""
    for start in range(0, jobs, 1000):
        some = [new_job(n, prefix) for n in range(start, min(start + 1000, jobs))]
        until_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < until_s:
            try:
                store.enqueue_all(None, some).result(DEADLINE_S)
            except StoreUnavailable:
                time.sleep(1.0)
            except Conflict:
                break  # it had been stored before it was refused
            else:
                break


def ended(run_s: float) -> Ending:
    """A run that succeeded."""
    return Ending(JobStatus.SUCCEEDED, time.time(), run_s)


def run_executors(url: str, namespace: str, count: int, run_s: float) -> list[dict[str, Any]]:
    """Start so many fake executors, let them go together, and return what each saw."""
    command = [sys.executable, str(Path(__file__).absolute()), url, namespace]
    with_pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen([*command, f"fake{n}", str(run_s)], **with_pipes) for n in range(count)]
    try:
        for child in children:
            assert child.stdout is not None
            if child.stdout.readline().strip() != "ready":
                raise RuntimeError("a fake executor did not start")
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        return [json.loads(child.communicate(timeout=DEADLINE_S)[0]) for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()


def execute(store: BullmqStore, run_s: float) -> dict[str, Any]:
    """Claim, sleep, finish, until nothing is left."""
    began: list[float] = []
    ends: list[float] = []
    between_s: list[float] = []
    asked_s = time.perf_counter()
    while (claim := store.claim().result(DEADLINE_S)) is not None:
        between_s.append(time.perf_counter() - asked_s)
        began.append(time.time())
        if run_s:
            time.sleep(run_s)
        asked_s = time.perf_counter()
        store.finish(claim.job.id, claim.attempt, ended(run_s)).result(DEADLINE_S)
        ends.append(time.time())
    return {
        "began": began[:1],
        "ended": ends[-1:],
        "jobs": len(ends),
        "between_s": between_s[1:],
        "cpu_s": time.process_time(),
    }


def started(url: str, namespace: str, name: str) -> dict[str, float]:
    """How long a member of this very process takes to be there, and the bytes that it then holds."""
    before_bytes, began_s = psutil.Process().memory_info().rss, time.perf_counter()
    with member(url, namespace, name):
        return {"opened_s": time.perf_counter() - began_s, "bytes": psutil.Process().memory_info().rss - before_bytes}


def start_of_member(url: str, namespace: str) -> dict[str, float]:
    """The same of a process of its own."""
    command = [sys.executable, str(Path(__file__).absolute()), url, namespace, "again", "open"]
    return dict(json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout))


def main(arguments: Sequence[str]) -> None:
    """One fake executor."""
    url, namespace, name, run_s = arguments
    if run_s == "open":
        sys.stdout.write(json.dumps(started(url, namespace, name)))
        return
    with member(url, namespace, name) as store:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        seen = execute(store, float(run_s))
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1:])
