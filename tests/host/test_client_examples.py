"""The examples of clients that do much or bear much: each as its reader would run it, over a line that loses answers too."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from tests.host.jobs_client import job, occupy
from tests.host.stock_walk import TEST_NODES, open_gate
from tests.support.comfy_server import RealComfyUI, free_port
from tests.support.examples import EXAMPLES, example_module
from tests.support.served import LossyProxy
from tests.support.waiting import wait_until

TINY = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "example"}},
}
ONE = {"least": 1, "most": 1, "on_timeout": "fail"}
BLOCK = {"on_timeout": "fail", "on_reject": "block"}
WORD = {"label": "Word?", "timeout_s": 60, "default_message": "", "on_timeout": "fail"}
UNKNOWN_CLASS = {"1": {"class_type": "EmptyImge", "inputs": {}}}


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES], env={"EXPEDITOR_MAX_WAITING_JOBS": "4"}) as running:
        yield running


def command(url: str, name: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, str(EXAMPLES / name), *map(str, arguments), "--url", url]


def run(url: str, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(url, name, *arguments), capture_output=True, text=True, timeout=120, check=False)


def written(folder: Path, prompt: Any) -> Path:
    file = folder / "prompt.json"
    file.write_text(json.dumps(prompt), encoding="utf-8")
    return file


def submitted(server: RealComfyUI) -> int:
    """How many jobs the server has been given."""
    return len(server.get("/expeditor/jobs?limit=1000").json()["jobs"])


# -- batch_process.py ----------------------------------------------------------------------------------------------------


def test_batch_process_gives_results_in_order_each_worker_by_its_own_id(server: RealComfyUI, tmp_path: Path) -> None:
    colours = [0, 0xFF0000, 0x00FF00, 0x0000FF, 0xFFFFFF, 0x112233, 0x445566, 0x778899]
    asked = [
        "--node",
        "1",
        "--input",
        "color",
        "--values",
        *map(str, colours),
        "--workers",
        "3",
        "--out",
        tmp_path / "out",
    ]
    done = run(server.url, "batch_process.py", written(tmp_path, TINY), *asked)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [str(number) for number in range(1, 9)]
    for colour, file in zip(colours, sorted((tmp_path / "out").iterdir()), strict=True):
        with Image.open(file) as picture:
            assert picture.getpixel((0, 0)) == (colour >> 16, colour >> 8 & 255, colour & 255)
    newest = server.get("/expeditor/jobs?limit=8").json()["jobs"]
    assert 1 < len({each["principal"] for each in newest}) <= 3


def test_batch_process_tells_what_failed_and_goes_on(server: RealComfyUI, tmp_path: Path) -> None:
    asked = [
        "--node",
        "1",
        "--input",
        "width",
        "--values",
        "16",
        "wide",
        "32",
        "--workers",
        "2",
        "--out",
        tmp_path / "out",
    ]
    done = run(server.url, "batch_process.py", written(tmp_path, TINY), *asked)
    assert done.returncode == 1
    first, second, third = done.stdout.splitlines()
    assert first.startswith("1: succeeded ")
    assert second.startswith("2: 422 Client Error: INPUT_INVALID")
    assert third.startswith("3: succeeded ")


# -- answer_client.py ----------------------------------------------------------------------------------------------------


def test_answer_client_approves_picks_and_says_what_it_shall(server: RealComfyUI, tmp_path: Path) -> None:
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 256, "height": 256, "batch_size": 1, "color": 0x808080}},
        "2": {"class_type": "StyleTransferNode", "inputs": {"image": ["1", 0], "style": "sketch", "intensity": 1.0}},
        "4": {"class_type": "ImageBatch", "inputs": {"image1": ["1", 0], "image2": ["2", 0]}},
        "5": {"class_type": "PickImages", "inputs": {"images": ["4", 0], "label": "Best?", "timeout_s": 60, **ONE}},
        "6": {"class_type": "ApproveImage", "inputs": {"image": ["5", 0], "label": "Good?", "timeout_s": 60, **BLOCK}},
        "7": {"class_type": "WaitForMessage", "inputs": {**WORD, "after": ["6", 2]}},
        "8": {"class_type": "PreviewAny", "inputs": {"source": ["7", 0]}},
    }
    accepted = server.post("/expeditor/submit", json={"prompt": prompt}).json()["id"]
    done = run(server.url, "answer_client.py", "--answers", "3", "--text", "a heron é")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ['Best?: {"picks": [1]}', 'Good?: {"approved": true}', "Word?: a heron é"]
    wait_until(lambda: job(server, accepted)["status"] == "succeeded", what="the job's end")


# -- retry_tenacity.py ---------------------------------------------------------------------------------------------------


def test_retry_tenacity_submits_once_over_a_line_that_loses_answers(server: RealComfyUI, tmp_path: Path) -> None:
    before = submitted(server)
    with LossyProxy(server.port) as proxy:
        proxy.losses = 2
        done = run(proxy.url, "retry_tenacity.py", written(tmp_path, TINY))
        assert (done.returncode, proxy.seen) == (0, 3), done.stderr
    assert job(server, done.stdout.strip())["id"] == done.stdout.strip()
    assert submitted(server) == before + 1


def test_retry_tenacity_never_repeats_a_refusal(server: RealComfyUI, tmp_path: Path) -> None:
    with LossyProxy(server.port) as proxy:
        done = run(proxy.url, "retry_tenacity.py", written(tmp_path, UNKNOWN_CLASS))
        assert (done.returncode, proxy.seen) == (1, 1)
    assert "did you mean 'EmptyImage'" in done.stderr


def test_retry_tenacity_gives_up_in_the_end() -> None:
    module = example_module("retry_tenacity")
    with pytest.raises(requests.ConnectionError):
        module.submit(f"http://127.0.0.1:{free_port()}", TINY, wait=lambda state: 0.0)


# -- submit_with_retry.py ------------------------------------------------------------------------------------------------


def test_submit_with_retry_sees_a_job_through(server: RealComfyUI, tmp_path: Path) -> None:
    with LossyProxy(server.port) as proxy:
        proxy.losses = 1
        done = run(proxy.url, "submit_with_retry.py", written(tmp_path, TINY), "--priority", "9")
    assert done.returncode == 0, done.stderr
    assert (job(server, done.stdout.strip())["priority"], "no answer" in done.stderr) == (9, True)


def test_submit_with_retry_waits_out_a_full_queue(server: RealComfyUI, tmp_path: Path) -> None:
    occupy(server, "with-retry")
    for _ in range(4):
        assert server.post("/expeditor/submit", json={"prompt": TINY}).status_code == 201
    before = submitted(server)
    waiting = subprocess.Popen(
        command(server.url, "submit_with_retry.py", written(tmp_path, TINY)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert waiting.stderr is not None
        assert "429 QUEUE_FULL; again in " in waiting.stderr.readline()
        open_gate(server, "with-retry")
        said, told = waiting.communicate(timeout=90)
    finally:
        waiting.kill()
    assert waiting.returncode == 0, told
    assert job(server, said.strip())["status"] == "succeeded"
    assert submitted(server) == before + 1


def test_submit_with_retry_does_not_repeat_a_refusal_and_runs_out_of_patience(
    server: RealComfyUI, tmp_path: Path
) -> None:
    with LossyProxy(server.port) as proxy:
        done = run(proxy.url, "submit_with_retry.py", written(tmp_path, UNKNOWN_CLASS))
        assert (done.returncode, proxy.seen) == (1, 1)
    done = run(f"http://127.0.0.1:{free_port()}", "submit_with_retry.py", written(tmp_path, TINY), "--patience", "0")
    assert done.returncode == 2
    assert "no answer" in done.stderr
