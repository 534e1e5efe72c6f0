"""Real instances on one queue: throughput by their number, how soon one hears of another's events, a batch of the command line.

Nothing here prints. All instances share this machine's cores, so what they do besides sleeping adds up.
"""

from __future__ import annotations

import itertools
import json
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from tests.support.cluster import RealCluster
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

RUN_S = 0.5
DEADLINE_S = 300.0
Line = tuple[str, str, str]


def sleepy(salt: int) -> dict[str, Any]:
    """A picture that takes RUN_S of sleep."""
    size = {"width": 64, "height": 64, "batch_size": 1, "color": salt % 0xFFFFFF}
    return {
        "1": {"class_type": "EmptyImage", "inputs": size},
        "2": {
            "class_type": "ExpeditorTestSleepy",
            "inputs": {"seconds": RUN_S, "steps": 1, "salt": salt, "image": ["1", 0]},
        },
        "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "bench"}},
    }


def lines(*, quick: bool) -> Iterator[Line]:
    """Rates of 1, 2 and 4 instances, events across two."""
    rates: dict[int, float] = {}
    for count in (1, 2, 4):
        with RealCluster(count=count) as cluster:
            warm(cluster)
            rates[count], between_s = rate(cluster, 10 if quick else 20)
            yield (
                f"{count} real instance{'s' * (count > 1)}, jobs that sleep {RUN_S} s",
                f"{rates[count]:.2f} jobs/s",
                "",
            )
            yield "→ of linear", f"{100 * rates[count] / count / rates[1]:.1f} %", "at least 95 %"
            yield "→ of what the sleeping alone allows", f"{100 * rates[count] * RUN_S / count:.1f} %", ""
            yield "→ from the end of a job to the start of the next (median)", f"{1e3 * between_s:.1f} ms", ""
            if count == 2:
                heard = across(cluster, 20 if quick else 100)
                yield (
                    "an event of B on A's stream",
                    f"{1e3 * statistics.median(heard):.1f} ms (highest {1e3 * max(heard):.1f})",
                    "median under 30 ms",
                )


def batch_lines(pictures: int) -> Iterator[Line]:
    """The command line's batch on one and on four."""
    took_s: dict[int, float] = {}
    for count in (1, 4):
        with RealCluster(count=count) as cluster:
            warm(cluster)
            took_s[count] = batch(cluster, pictures)
            what = f"the command line's batch, {pictures} pictures that sleep {RUN_S} s, {count} instance{'s' * (count > 1)}"
            yield what, f"{took_s[count]:.1f} s", ""
    yield "→ one instance's time of four's", f"{took_s[1] / took_s[4]:.2f} ×", "at least 3.8 ×"


def warm(cluster: RealCluster) -> None:
    """Each instance has run a job; then nothing runs."""
    wait_until(lambda: _all_know(cluster), 60, what="all instances in the registry")
    for salt in range(4 * cluster.count):
        submit(cluster.a, sleepy(10_000_000 + salt))
    wait_until(lambda: idle(cluster), DEADLINE_S, 0.1, "an idle cluster")


def _all_know(cluster: RealCluster) -> bool:
    answer = cluster.a.get("/expeditor/workers")
    return answer.status_code == 200 and len(answer.json()["workers"]) == cluster.count


def idle(cluster: RealCluster) -> bool:
    """Whether nothing waits or runs."""
    queue = cluster.a.get("/expeditor/queue").json()
    return queue["waiting"] + queue["running"] == 0


def submit(server: RealComfyUI, prompt: dict[str, Any]) -> str:
    """The id of an accepted job."""
    answer = server.post("/expeditor/submit", json={"prompt": prompt, "client_id": "bench"})
    if answer.status_code != 201:
        raise RuntimeError(f"a prompt of the benchmark was refused: {answer.status_code} {answer.text[:500]}")
    return str(answer.json()["id"])


def rate(cluster: RealCluster, jobs_each: int) -> tuple[float, float]:
    """Jobs per second from the first start to the last end, all in the queue before the first; and the median gap on one instance."""
    cluster.a.post("/expeditor/queue/pause")
    salt = int(time.time() * 1000) % 1_000_000_000
    ids = [submit(cluster.a, sleepy(salt + number)) for number in range(jobs_each * cluster.count)]
    cluster.a.post("/expeditor/queue/resume")
    wait_until(lambda: idle(cluster), DEADLINE_S, 0.2, "an idle cluster")
    runs: dict[str, list[tuple[float, float]]] = {}
    for job_id in ids:
        job = cluster.a.get(f"/expeditor/jobs/{job_id}").json()
        if job["status"] != "succeeded":
            raise RuntimeError(f"a job of the benchmark {job['status']}: {job['error']}")
        last = job["attempts"][-1]
        runs.setdefault(str(last["instance"]), []).append((seconds(last["started_at"]), seconds(last["finished_at"])))
    everything = [run for found in runs.values() for run in found]
    took_s = max(end for _, end in everything) - min(start for start, _ in everything)
    gaps: list[float] = []
    for found in runs.values():
        found.sort()
        gaps += [after[0] - before[1] for before, after in itertools.pairwise(found)]
    return len(ids) / took_s, statistics.median(gaps)


def seconds(text: str) -> float:
    """RFC 3339 as seconds since the epoch."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def across(cluster: RealCluster, events: int) -> list[float]:
    """From the moment of an event of B (a job is held there) to its arrival on A's stream of all events."""
    heard: dict[str, tuple[float, float]] = {}
    ready = threading.Event()

    def listen() -> None:
        with requests.get(f"{cluster.a.url}/expeditor/events", stream=True, timeout=DEADLINE_S) as stream:
            ready.set()
            for line in stream.iter_lines(chunk_size=1):
                if line.startswith(b"data:"):
                    told = json.loads(line[5:])
                    heard.setdefault(f"{told.get('job_id')} {told.get('type')}", (time.time(), seconds(told["at"])))
                    if len([key for key in heard if key.endswith("job.held")]) >= events:
                        return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    ready.wait(30)
    cluster.b.post("/expeditor/queue/pause")
    for number in range(events):
        job_id = submit(cluster.b, sleepy(20_000_000 + number))
        cluster.b.post(f"/expeditor/jobs/{job_id}/hold")
        wait_until(lambda job_id=job_id: f"{job_id} job.held" in heard, 30)
    listener.join(30)
    cluster.b.post("/expeditor/queue/clear")
    cluster.b.post("/expeditor/queue/resume")
    return [arrived - at for key, (arrived, at) in heard.items() if key.endswith("job.held")]


def batch(cluster: RealCluster, pictures: int) -> float:
    """Seconds that the command line's batch takes, saved files included."""
    from benchmarks.batching import Watch  # noqa: PLC0415
    from expeditor.client.batching.items import plan_of  # noqa: PLC0415
    from expeditor.client.batching.record import open_record  # noqa: PLC0415
    from expeditor.client.batching.runner import Options, Runner, Stopper  # noqa: PLC0415
    from expeditor.client.connect import connect  # noqa: PLC0415
    from expeditor.client.sweeps import axes_of  # noqa: PLC0415
    from expeditor.client.transport import Transport  # noqa: PLC0415

    first = uuid.uuid4().int % 1_000_000_000
    plan = plan_of(sleepy(0), axes_of([f"2.salt={first}..{first + pictures - 1}"], []), 1, {})
    transport = Transport(cluster.a.url)
    try:
        with tempfile.TemporaryDirectory() as folder:
            began_s = time.perf_counter()
            with open_record(Path(folder), plan.digest(), pictures, cluster.a.url) as record:
                options = Options(Path(folder), 8, together=True)
                Runner(connect(transport), plan, record, Watch(), options, Stopper()).run()
            return time.perf_counter() - began_s
    finally:
        transport.close()
