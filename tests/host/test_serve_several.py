"""`python dev.py serve --instances 2`: one command starts a Redis and two ComfyUIs that share a queue; deaths and the end of it."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from expeditor.devtools.console import SetupError
from expeditor.devtools.debian import find_redis
from expeditor.devtools.serve import check_port
from tests.support.comfy_server import ROOT, comfyui_tree
from tests.support.waiting import wait_until

START_DEADLINE_S = 240.0
INSTANCES = 2

pytestmark = pytest.mark.skipif(sys.platform == "win32" or find_redis() is None, reason="needs a Redis of its own")


class Serving:
    """The tool in a process of its own, with everything it says."""

    def __init__(self, folder: Path) -> None:
        self.port = free_row_of_ports(INSTANCES + 1)
        self.out = folder / "out"
        self.data = folder / "data"
        command = [sys.executable, "dev.py", "serve", "--instances", str(INSTANCES), "--port", str(self.port)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EXPEDITOR_")}
        environment["EXPEDITOR_PYTHON"] = os.environ.get("EXPEDITOR_PYTHON") or sys.executable
        environment["COMFYUI_DIR"] = str(comfyui_tree())
        with self.out.open("wb") as file:
            self.process = subprocess.Popen(
                [*command, "--data", str(self.data)], cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT
            )

    def said(self) -> str:
        return self.out.read_text(encoding="utf-8", errors="replace")

    def until_said(self, pattern: str) -> None:
        def there() -> bool:
            assert self.process.poll() is None, self.said()[-4000:]
            return re.search(pattern, self.said(), re.MULTILINE) is not None

        wait_until(there, START_DEADLINE_S, 0.1, f"{pattern} in what dev.py says")

    def url(self, number: int) -> str:
        return f"http://127.0.0.1:{self.port + number}"

    def get(self, number: int, path: str) -> dict:
        return requests.get(self.url(number) + path, timeout=20).json()


def free_row_of_ports(count: int) -> int:
    """A port that was free a moment ago, as were those after it; below those that systems give to outgoing connections."""
    while True:
        first = random.randrange(12_000, 30_000)
        try:
            for number in range(count):
                check_port("127.0.0.1", first + number)
        except SetupError:
            continue
        return first


def refused(port: int) -> bool:
    try:
        requests.get(f"http://127.0.0.1:{port}", timeout=1)
    except requests.RequestException:
        return True
    return False


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    made = Serving(tmp_path_factory.mktemp("serve"))
    try:
        made.until_said(r"2 ComfyUI\(s\) with Expeditor share one queue")
        yield made
    finally:
        made.process.terminate()
        made.process.wait(60)


def test_what_it_prints_is_there_and_can_be_done(serving: Serving) -> None:
    said = serving.said()
    assert "does not share the queue" not in said
    assert re.search(rf"share one queue:\s+{serving.url(0)}$", said, re.MULTILINE)
    (command,) = re.findall(r"six jobs at once\s+(curl .*)$", said, re.MULTILINE)
    subprocess.run(["bash", "-c", command.replace("curl ", "curl --fail-with-body ", 1)], check=True, timeout=60)

    def done() -> bool:
        jobs = serving.get(1, "/expeditor/jobs")["jobs"]
        return len(jobs) == 6 and {job["status"] for job in jobs} == {"succeeded"}

    wait_until(done, 60, 0.1, "six jobs to be done, asked at the other instance")
    names = {worker["name"] for worker in serving.get(0, "/expeditor/workers")["workers"]}
    assert names == {"gpu1", "gpu2"}


def test_an_instance_and_the_redis_that_die_come_back(serving: Serving) -> None:
    before = serving.get(1, "/expeditor/health")["pid"]
    os.kill(before, signal.SIGKILL)
    serving.until_said(r"^gpu2 +\| ended \(exit -9\); it is started again in 1 s")
    serving.until_said(r"^gpu2 .*Expeditor: ready(.|\n)*^gpu2 .*Expeditor: ready")
    assert serving.get(1, "/expeditor/health")["pid"] != before
    (redis,) = set(re.findall(r"^redis \| (\d+):M ", serving.said(), re.MULTILINE))
    os.kill(int(redis), signal.SIGKILL)
    serving.until_said(r"^redis +\| ended \(exit -9\); it is started again")

    def whole() -> bool:
        told = [serving.get(number, "/expeditor/jobs").get("jobs", []) for number in range(INSTANCES)]
        return [len(jobs) for jobs in told] == [6] * INSTANCES

    wait_until(whole, 60, 0.1, "both to tell of all jobs again")


def test_ctrl_c_ends_all_and_nothing_is_left(serving: Serving) -> None:
    pids = [serving.get(number, "/expeditor/health")["pid"] for number in range(INSTANCES)]
    serving.process.send_signal(signal.SIGINT)
    assert serving.process.wait(60) == 0
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert all(refused(serving.port + number) for number in range(INSTANCES + 1))
