"""The command line while its server dies, restarts and is full: nothing is lost, nothing runs twice, nobody has to do anything."""

from __future__ import annotations

import json

import pytest

from tests.host.jobs_client import occupy
from tests.host.stock_walk import TEST_NODES, open_gate
from tests.host.test_command_line import TINY, program, written
from tests.http.command_line import call
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

WAITING_LIMIT = 6


@pytest.fixture(scope="module")
def server():
    with RealComfyUI(packs=[TEST_NODES], env={"EXPEDITOR_MAX_WAITING_JOBS": str(WAITING_LIMIT)}) as running:
        yield running


def test_batch_and_watch_outlive_a_kill_and_a_full_queue(server, tmp_path):
    """Thirty jobs into a queue for six, with `kill -9` in the middle, while another terminal watches one job."""
    gate = occupy(server, "kill")
    asked = [
        "batch",
        written(tmp_path, TINY),
        "--sweep",
        "1.color=1..30",
        "-o",
        str(tmp_path / "out"),
        "-j",
        "4",
        "--json",
    ]
    # Processes of their own: each has a standard error of its own.
    batch = program(*asked, "--patience", "180", "--server", server.url)
    watch = program("watch", gate, "--json", "--patience", "180", "--server", server.url)
    try:
        wait_until(lambda: server.get("/expeditor/queue").json()["waiting"] == WAITING_LIMIT, 60, what="a full queue")
        assert "429 QUEUE_FULL; asking again" in batch.stderr.readline()
        server.restart()
        open_gate(server, "kill")
        watched, batched = watch.communicate(timeout=300)[0], batch.communicate(timeout=300)
    finally:
        batch.kill()
        watch.kill()
    assert watch.returncode == 0
    assert json.loads(watched.splitlines()[-1])["status"] == "succeeded"
    assert batch.returncode == 0, batched[1]
    assert "asking again" in batched[1]
    told = json.loads(batched[0])
    assert told["counts"] == {"succeeded": 30}
    jobs = call(server.url, "jobs", "--label", f"cli_batch={told['batch']}", "-n", "1000", "--json").json()
    assert len(jobs) == 30, "one job for each item"
    assert {item["job"] for item in told["items"]} == {job["id"] for job in jobs}
    assert len(list((tmp_path / "out").glob("*.png"))) == 30


def test_stock_forgets_and_the_next_run_submits_what_was_lost(tmp_path):
    out = tmp_path / "out"
    asked = ["batch", written(tmp_path, TINY), "--sweep", "1.color=1..5", "-o", str(out), "--json"]
    with RealComfyUI(with_expeditor=False, packs=[TEST_NODES]) as stock:
        blocker = written(out.parent, {"1": {"class_type": "ExpeditorTestGate", "inputs": {"name": "never"}}})
        call(stock.url, "submit", blocker)
        assert call(stock.url, *asked[:1], written(tmp_path, TINY), *asked[2:], "--no-wait").code == 0
        stock.restart()
        said = call(stock.url, *asked, patience="60")
        assert (said.code, said.json()["counts"]) == (1, {"lost": 5})
        said = call(stock.url, *asked, "--retry-failed", patience="60")
        assert (said.code, said.json()["counts"]) == (0, {"succeeded": 5})
    assert json.loads((out / "manifest.json").read_text("utf-8"))["counts"] == {"succeeded": 5}
