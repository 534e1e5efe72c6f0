"""`python benchmarks/v2.py [--quick] [--proxy PROGRAM] [--streams]`: the Comfy API v2 beside ComfyUI's own ways in, in one run.

How long `run()` of a trivial job takes with the official SDK, how many jobs a second can be submitted, and what a poll costs while
10,000 jobs wait. Prints the medians of interleaved rounds beside the aims; asserts nothing. `PROGRAM` is the official
`comfy-api-proxy`, installed in an environment of its own; without it its rows are left out. `--streams` goes on with
`streams.py`, in the same run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import compare

DEEP = 10_000
CLIENTS = 32
Blocks = Mapping[str, Callable[[int], float]]


def medians(blocks: Blocks, rounds: int) -> dict[str, list[float]]:
    """Each block once a round, in turns (A B C, C B A, …): what drifts on the machine hits all alike."""
    found: dict[str, list[float]] = {name: [] for name in blocks}
    for number in range(rounds):
        names = list(blocks) if number % 2 == 0 else list(reversed(list(blocks)))
        for name in names:
            found[name].append(blocks[name](number))
    return found


def told(what: str, found: list[float], unit: str, scale: float = 1.0) -> None:
    """One line: the median, and the lowest and highest round."""
    median, low, high = (scale * value for value in (statistics.median(found), min(found), max(found)))
    sys.stdout.write(f"{what:<58} {median:9.2f} {unit}  ({low:.2f} to {high:.2f})\n")
    sys.stdout.flush()


def ratio(what: str, found: list[float], base: list[float], aim: str) -> None:
    """The ratio of two medians beside its aim, and that of each round, which the machine's drift hits less."""
    each = statistics.median(one / other for one, other in zip(found, base, strict=True))
    sys.stdout.write(
        f"  → {what:<54} {statistics.median(found) / statistics.median(base):9.2f} x   (of the rounds: {each:.2f} x; aim {aim})\n"
    )
    sys.stdout.flush()


class Runs:
    """Trivial jobs from the first byte of the request to the client's knowledge of the end, one after the other."""

    def __init__(self, url: str, jobs: int) -> None:
        """`jobs` in a block; no two prompts are equal."""
        import requests  # noqa: PLC0415
        import websocket  # noqa: PLC0415

        self._url = url
        self._jobs = jobs
        self._colors = itertools.count(1)
        self._client_id = uuid.uuid4().hex
        self._session = requests.Session()
        self._socket = websocket.create_connection(
            f"{url.replace('http', 'ws', 1)}/ws?clientId={self._client_id}", timeout=60
        )

    def native(self, _round: int) -> float:
        """`POST /prompt`, then the socket until `executing` says that nothing runs."""
        return self._median(self._native)

    def sdk(self, client: Any, *, strict: bool = True) -> Callable[[int], float]:
        """`run()` of the official SDK. Not `strict`: the proxy may say of a job that succeeded that it has expired."""

        def one(prompt: dict[str, Any]) -> None:
            job = client.submit(client.workflows.from_json(prompt)).wait()
            if strict and job.status != "succeeded":
                raise RuntimeError(f"the job ended {job.status}")

        return lambda _round: self._median(one)

    def _median(self, run: Callable[[dict[str, Any]], None]) -> float:
        from benchmarks import prompts  # noqa: PLC0415

        found: list[float] = []
        for _ in range(self._jobs):
            prompt = prompts.small(next(self._colors))
            began_s = time.perf_counter()
            run(prompt)
            found.append(time.perf_counter() - began_s)
        return statistics.median(found)

    def _native(self, prompt: dict[str, Any]) -> None:
        body = {"prompt": prompt, "client_id": self._client_id}
        prompt_id = self._session.post(f"{self._url}/prompt", json=body, timeout=60).json()["prompt_id"]
        while True:
            frame = self._socket.recv()
            if isinstance(frame, bytes):
                continue
            message = json.loads(frame)
            data = message["data"]
            if message["type"] == "executing" and data["node"] is None and data.get("prompt_id") == prompt_id:
                return


def submit_rate(side: Any, url: str, path: str, count: int, *, clients: int = CLIENTS) -> Callable[[int], float]:
    """Jobs per second that `clients` clients get in while the worker is busy."""
    from benchmarks import prompts  # noqa: PLC0415
    from benchmarks.sides import LOAD  # noqa: PLC0415

    def rate(number: int) -> float:
        graphs = (prompts.thirty_nodes(10_000 * number + index) for index in range(count))
        field = "prompt" if path == "/prompt" else "workflow"
        bodies = [json.dumps({field: graph}) for graph in graphs]
        asked = json.dumps({"url": url, "path": path, "clients": clients, "bodies": bodies})
        with side.held():
            run = subprocess.run(
                [sys.executable, str(LOAD)], input=asked, capture_output=True, text=True, timeout=300, check=True
            )
        found = json.loads(run.stdout)
        if set(found["statuses"]) - {"200", "201"}:
            raise RuntimeError(f"{url}{path} did not accept all: {found['statuses']}")
        return count / found["wall_s"]

    return rate


def poll_s(side: Any, job_id: str, polls: int) -> Callable[[int], float]:
    """The median of polls of a waiting job."""
    import requests  # noqa: PLC0415

    session = requests.Session()

    def median(_round: int) -> float:
        found: list[float] = []
        for _ in range(polls):
            began_s = time.perf_counter()
            answer = session.get(f"{side.server.url}/api/v2/jobs/{job_id}", timeout=60)
            found.append(time.perf_counter() - began_s)
            if answer.json()["status"] != "queued":
                raise RuntimeError(f"the job does not wait: {answer.text}")
        return statistics.median(found)

    return median


@contextmanager
def sdk_client(url: str) -> Iterator[Any]:
    """The official client of one address."""
    from comfy_sdk import Comfy  # noqa: PLC0415

    os.environ["COMFY_BASE_URL"] = url
    with Comfy() as client:
        yield client


@contextmanager
def proxy(program: str, behind: str) -> Iterator[str]:
    """The official proxy in front of a server; its address."""
    import requests  # noqa: PLC0415

    from tests.support.comfy_server import free_port  # noqa: PLC0415
    from tests.support.waiting import wait_until  # noqa: PLC0415

    port = free_port()
    command = [program, "run", "--comfyui", behind, "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return requests.get(f"{url}/api/v2/health", timeout=5).ok
        except requests.ConnectionError:
            return False

    try:
        wait_until(answers, 60, what="the proxy's answer")
        yield url
    finally:
        process.kill()
        process.wait()


def measure(*, quick: bool, program: str | None) -> None:
    """All of it."""
    from benchmarks import report  # noqa: PLC0415 - importable once the paths are set
    from benchmarks.sides import side  # noqa: PLC0415

    loaded = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    sys.stdout.write(f"{report.machine()}; load average before the run: {loaded:.1f}\n")
    rounds, jobs, count = (3, 10, 192) if quick else (9, 30, 640)
    with ExitStack() as stack:
        ours = stack.enter_context(side("expeditor", with_expeditor=True))
        stock = stack.enter_context(side("stock", with_expeditor=False)) if program else None
        behind = {"expeditor": ours, "stock": stock} if stock else {}
        proxied = {name: stack.enter_context(proxy(program or "", one.server.url)) for name, one in behind.items()}
        _runs(stack, ours, proxied.get("stock"), rounds, jobs)
        _rates(ours, stock, proxied, rounds, count)
    _polls(side, rounds, quick=quick)


def _runs(stack: ExitStack, ours: Any, proxied: str | None, rounds: int, jobs: int) -> None:
    runs = Runs(ours.server.url, jobs)
    sdk = stack.enter_context(sdk_client(ours.server.url))
    found = medians({"native": runs.native, "sdk": runs.sdk(sdk)}, rounds)
    told("a trivial job, /prompt and /ws", found["native"], "ms", 1e3)
    told("a trivial job, run() of the SDK", found["sdk"], "ms", 1e3)
    ratio("run() against native", found["sdk"], found["native"], "at most 1.15 x")
    if proxied:
        through = stack.enter_context(sdk_client(proxied))
        found = medians({"proxy": Runs(ours.server.url, 3).sdk(through, strict=False)}, 3)
        told("a trivial job, run() of the SDK through the proxy", found["proxy"], "ms", 1e3)


def _rates(ours: Any, stock: Any, proxied: Mapping[str, str], rounds: int, count: int) -> None:
    for clients, jobs in ((1, count // 3), (CLIENTS, count)):
        who = f"{clients} client{'s' if clients > 1 else ''}"
        blocks = {
            "prompt": submit_rate(ours, ours.server.url, "/prompt", jobs, clients=clients),
            "v2": submit_rate(ours, ours.server.url, "/api/v2/jobs", jobs, clients=clients),
        }
        for name, url in proxied.items():
            side = stock if name == "stock" else ours
            blocks[name] = submit_rate(side, url, "/api/v2/jobs", jobs, clients=clients)
        found = medians(blocks, rounds)
        told(f"jobs a second, /prompt, {who}", found["prompt"], "/s")
        told(f"jobs a second, /api/v2/jobs, {who}", found["v2"], "/s")
        ratio("v2 against /prompt", found["v2"], found["prompt"], "at least 0.8 x")
        for name in proxied:
            told(f"jobs a second, the proxy before {name}, {who}", found[name], "/s")
            ratio(f"v2 against the proxy before {name}", found["v2"], found[name], "at least 1.5 x")


def _polls(side: Any, rounds: int, *, quick: bool) -> None:
    from benchmarks import prompts  # noqa: PLC0415

    depth = DEEP // 10 if quick else DEEP
    with side("empty", with_expeditor=True) as empty, side("deep", with_expeditor=True) as deep:
        bodies = [json.dumps({"prompt": prompts.small(index), "client_id": "bench"}) for index in range(depth)]
        with empty.held(), deep.held():
            deep.load(CLIENTS, bodies)
            jobs = {one.name: one.submit(prompts.small(1), "bench") for one in (empty, deep)}
            blocks = {one.name: poll_s(one, jobs[one.name], 100) for one in (empty, deep)}
            found = medians(blocks, rounds)
    told("one poll of a waiting job, nothing else waits", found["empty"], "ms", 1e3)
    told(f"one poll of a waiting job behind {depth}", found["deep"], "ms", 1e3)
    ratio("a poll behind many", found["deep"], found["empty"], "at most 2 x")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="The Comfy API v2 beside ComfyUI's own ways in.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, jobs and waiting jobs")
    parser.add_argument("--proxy", metavar="PROGRAM", help="the official comfy-api-proxy, in an environment of its own")
    parser.add_argument("--streams", action="store_true", help="then the event streams and the event log (streams.py)")
    asked = parser.parse_args()
    compare.make_importable()
    compare.use_development_python()
    measure(quick=asked.quick, program=asked.proxy)
    if asked.streams:
        streams = [sys.executable, str(Path(__file__).with_name("streams.py"))]
        subprocess.run([*streams, "--quick"] if asked.quick else streams, check=True)


if __name__ == "__main__":
    main()
