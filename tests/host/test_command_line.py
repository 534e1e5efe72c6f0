"""The command line against a real ComfyUI with Expeditor, and against a stock one: what a person at a terminal would do."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.host.jobs_client import job, occupy, quick, submit, until_status
from tests.host.stock_walk import TEST_NODES, gate_prompt, open_gate
from tests.http.command_line import call
from tests.support.child_imports import ROOT
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

TINY = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "cli"}},
}
TURN = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "none.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "turned"}},
}
FAILING = {"7": {"class_type": "ExpeditorTestRaises", "inputs": {"error": "RuntimeError", "text": "the brush broke"}}}
PROGRAM = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import child_imports
from expeditor.client.needs import run_command_line
run_command_line()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES]) as running:
        yield running


@pytest.fixture(scope="module")
def stock() -> Iterator[RealComfyUI]:
    with RealComfyUI(with_expeditor=False, packs=[TEST_NODES]) as running:
        yield running


def written(folder: Path, prompt: Any) -> str:
    file = folder / "workflow.json"
    file.write_text(json.dumps(prompt), encoding="utf-8")
    return str(file)


def program(*arguments: str) -> subprocess.Popen[str]:
    """The program as a process of its own."""
    command = [sys.executable, "-c", PROGRAM, str(ROOT / "tests/support"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# -- both kinds of server ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["server", "stock"])
def test_a_picture_goes_in_and_a_picture_comes_out(kind, request, tmp_path):
    url = request.getfixturevalue(kind).url
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "red.png")
    asked = [written(tmp_path, TURN), "--file", f"1.image={tmp_path / 'red.png'}", "--out", str(tmp_path / "out")]
    said = call(url, "submit", *asked, "--json", patience="60")
    assert said.code == 0, said.err
    (saved,) = said.json()["saved"]
    with Image.open(saved) as picture:
        assert picture.getpixel((0, 0)) == (0, 255, 255)


@pytest.mark.parametrize("kind", ["server", "stock"])
def test_a_failure_names_the_node_and_exits_with_1(kind, request, tmp_path):
    said = call(request.getfixturevalue(kind).url, "submit", written(tmp_path, FAILING), "--wait", patience="60")
    assert said.code == 1
    assert "node 7 (ExpeditorTestRaises): " in said.err
    assert "the brush broke" in said.err


@pytest.mark.parametrize("kind", ["server", "stock"])
def test_a_refusal_names_the_node(kind, request, tmp_path):
    said = call(
        request.getfixturevalue(kind).url, "submit", written(tmp_path, {"1": {"class_type": "EmptyImge", "inputs": {}}})
    )
    assert said.code == 3
    assert "EmptyImge" in said.err


@pytest.mark.parametrize("kind", ["server", "stock"])
def test_a_waiting_and_a_running_job_are_canceled(kind, request, tmp_path):
    there = request.getfixturevalue(kind)
    file = written(tmp_path, gate_prompt(f"cli-{kind}"))
    running = call(there.url, "submit", file).out.strip()
    wait_until(lambda: call(there.url, "job", running, "--json").json()["status"] == "running", what="it runs")
    waiting = call(there.url, "submit", file, "--set", "1.name=other").out.strip()
    listed = [each["id"] for each in call(there.url, "jobs", "--status", "queued,running", "--json").json()]
    assert listed == [waiting, running]
    assert call(there.url, "queue", "--json").json()["waiting"] == 1
    said = call(there.url, "cancel", waiting, running, "--json")
    assert said.code == 0
    assert said.json()[0]["status"] == "canceled"
    ended = call(there.url, "watch", running, "--json")
    assert (ended.code, ended.lines()[-1]["status"]) == (1, "canceled")


@pytest.mark.parametrize("kind", ["server", "stock"])
def test_a_batch_of_pictures_in_the_order_of_the_folder(kind, request, tmp_path):
    (tmp_path / "in").mkdir()
    for shade in range(6):
        Image.new("L", (8, 8), shade * 10).convert("RGB").save(tmp_path / "in" / f"shade{shade}.png")
    out = tmp_path / "out"
    asked = ["batch", written(tmp_path, TURN), "--inputs", f"1.image={tmp_path / 'in'}", "-o", str(out), "-j", "3"]
    said = call(request.getfixturevalue(kind).url, *asked, "--json", patience="60")
    assert said.code == 0, said.err
    for shade, item in enumerate(said.json()["items"]):
        assert item["values"] == {"1.image": f"shade{shade}.png"}
        with Image.open(out / item["files"][0]) as picture:
            assert picture.getpixel((0, 0)) == (255 - shade * 10,) * 3
    again = call(request.getfixturevalue(kind).url, *asked, "--json")
    assert again.json() == said.json()


def test_a_batch_of_one_request_leaves_out_what_the_server_refuses(server, tmp_path):
    out = tmp_path / "out"
    said = call(server.url, "batch", written(tmp_path, TINY), "--sweep", "1.width=16,-5,32", "-o", str(out), "--json")
    assert said.code == 1
    items = said.json()["items"]
    assert [item["status"] for item in items] == ["succeeded", "refused", "succeeded"]
    assert "width" in items[1]["error"]
    first, second = (job(server, items[place]["job"])["batch"] for place in (0, 2))
    assert first["id"] == second["id"], "both are of one batch of the server"


def test_what_stock_cannot_do_is_one_clear_sentence(stock, tmp_path):
    file = written(tmp_path, TINY)
    for command in (
        ["submit", file, "-p", "8"],
        ["submit", file, "--check"],
        ["batch", file, "-p", "8", "-o", str(tmp_path / "out")],
        ["retry", "x"],
        ["hold", "x"],
        ["priority", "x", "--front"],
        ["pause"],
        ["watch"],
        ["cancel", "--all"],
        ["jobs", "--principal", "ada"],
    ):
        said = call(stock.url, *command)
        assert said.code == 6, command
        assert "Expeditor" in said.err


# -- events, doctor --------------------------------------------------------------------------------------------------------


def test_watch_tells_each_step_of_a_job(server, tmp_path):
    prompt = {"1": {"class_type": "ExpeditorTestSleepy", "inputs": {"seconds": 2.0, "steps": 8, "salt": 77}}}
    said = call(server.url, "submit", written(tmp_path, prompt), "--watch", "--json")
    assert said.code == 0, said.err
    told = said.lines()
    assert told[-1]["status"] == "succeeded"
    assert len([line for line in told if line["status"] == "running" and (line["progress"] or {}).get("value")]) > 1


def test_watch_of_all_jobs_goes_on_from_a_cursor(server):
    watching = program("watch", "--json", "--server", server.url)
    try:
        told: list[dict[str, Any]] = []

        def heard(job_id: str, kind: str) -> None:
            while not (told and (told[-1]["job_id"], told[-1]["type"]) == (job_id, kind)):
                told.append(json.loads(watching.stdout.readline()))

        # The stream tells what happens from its opening on: jobs are sent until one is heard of.
        wait_until(lambda: _readable(watching) or not submit(server, quick(501))["id"], 30, 0.3, "a first event")
        last = submit(server, quick(503))["id"]
        heard(last, "job.succeeded")
        cursor = next(event["cursor"] for event in told if event["job_id"] == last and event["type"] == "job.queued")
    finally:
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=30)
    assert watching.returncode == 130
    again = program("watch", "--json", "--server", server.url, "--after", cursor)
    try:
        types = [json.loads(again.stdout.readline())["type"] for _ in range(2)]
    finally:
        again.send_signal(signal.SIGINT)
        again.communicate(timeout=30)
    assert types[0] == "job.started", "behind the cursor, not with it"


def _readable(process: subprocess.Popen[str]) -> bool:

    return bool(select.select([process.stdout], [], [], 0)[0])


def test_doctor_finds_a_healthy_server_well(server, stock):
    said = call(server.url, "doctor", "--json")
    found = {finding["check"]: finding["state"] for finding in said.json()["findings"]}
    assert said.code == 0, said.out
    checks = "reachable clock comfyui socket expeditor hooks store disk ready queue submit page events sdk".split()
    assert {check: found.get(check) for check in checks} == dict.fromkeys(checks, "ok")
    said = call(stock.url, "doctor", "--json")
    found = {finding["check"]: finding["state"] for finding in said.json()["findings"]}
    assert (said.code, found["expeditor"], found["socket"]) == (0, "warning", "ok")


def test_doctor_sees_a_paused_queue(server):
    call(server.url, "pause")
    try:
        found = {finding["check"]: finding for finding in call(server.url, "doctor", "--json").json()["findings"]}
    finally:
        call(server.url, "resume")
    assert found["queue"]["state"] == "warning"
    assert "expeditor resume" in found["queue"]["remedy"]


def test_ctrl_c_leaves_the_job_running_and_says_how_to_go_on(server, tmp_path):
    occupied = occupy(server, "cli-ctrl-c")
    watching = program("submit", written(tmp_path, TINY), "--watch", "--server", server.url)
    job_id = watching.stdout.readline().strip()
    until_status(server, job_id, "queued")
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=30)
    assert (watching.returncode, job(server, job_id)["status"]) == (130, "queued")
    assert f"expeditor watch {job_id}" in said
    open_gate(server, "cli-ctrl-c")
    assert call(server.url, "watch", job_id).code == 0
    until_status(server, occupied, "succeeded")
