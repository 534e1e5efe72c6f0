"""Two servers on one data directory: one dispatcher at a time. When the first dies the second takes the queue over with all
that waited, also what its own ComfyUI had got meanwhile; nothing is lost and nothing runs twice."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from tests.host.jobs_client import job, occupy, submit, until_ended
from tests.host.stock_walk import TEST_NODES, ended, gate_prompt, open_gate, running
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

TAKEOVER_S = 60.0


def leaves_a_trace(key: str) -> dict[str, Any]:
    """A prompt whose node counts its runs in a file of the server that ran it."""
    inputs = {"error": "RuntimeError", "text": "never", "times": 0, "key": key}
    return {"1": {"class_type": "ExpeditorTestRaises", "inputs": inputs}}


def runs(key: str, *servers: RealComfyUI) -> int:
    """How often the node ran, on all of them."""
    return sum(len(list((server.base / "expeditor_test_runs" / key).glob("*"))) for server in servers)


def put(server: RealComfyUI, prompt: dict[str, Any]) -> str:
    """Through ComfyUI's own route, which works also while Expeditor stands down."""
    answer = server.post("/prompt", json={"prompt": prompt, "prompt_id": str(uuid.uuid4())})
    assert answer.status_code == 200, answer.text
    return answer.json()["prompt_id"]


def owner(server: RealComfyUI) -> str:
    """What the server says of its queue: `on`, or who has it."""
    return server.get("/expeditor/health").json()["hooks"]["queue"]


def test_the_second_takes_over_when_the_first_dies_and_the_first_stands_down_when_it_is_back(tmp_path: Path):
    env = {"EXPEDITOR_DATA_DIR": str(tmp_path)}
    with RealComfyUI(packs=[TEST_NODES], env=env) as first, RealComfyUI(packs=[TEST_NODES], env=env) as second:
        interrupted = occupy(first, "runs")
        stored = {key: submit(first, leaves_a_trace(key))["id"] for key in ("one", "two", "three")}
        cores = put(second, gate_prompt("cores"))
        running(second, cores)
        meanwhile = {key: put(second, leaves_a_trace(key)) for key in ("four", "five")}
        # One dispatcher: while the first lives, the second leaves its jobs alone.
        assert str(first.pid) in owner(second)
        assert {row[1] for row in second.get("/queue").json()["queue_pending"]} == set(meanwhile.values())

        first.kill()
        wait_until(lambda: owner(second) == "on", TAKEOVER_S, what="the second to take over")
        assert second.get("/expeditor/ready").status_code == 200
        # What core runs goes on; until it has ended, nothing else runs.
        assert [row[1] for row in second.get("/queue").json()["queue_running"]] == [cores]
        waiting = {interrupted, *stored.values(), *meanwhile.values()}
        assert {row[1] for row in second.get("/queue").json()["queue_pending"]} == waiting
        assert {job(second, job_id)["status"] for job_id in waiting} == {"queued"}

        # The first is back: now it is the one that stands down, and it touches nothing.
        first.start()
        assert str(second.pid) in owner(first)
        assert first.post("/expeditor/submit", json={"prompt": leaves_a_trace("six")}).status_code == 503
        open_gate(second, "cores")
        open_gate(second, "runs")
        assert ended(second, cores)[cores]["status"]["status_str"] == "success"
        for key, job_id in {**stored, **meanwhile}.items():
            told = until_ended(second, job_id)
            assert (told["status"], len(told["attempts"])) == ("succeeded", 1), key
            assert runs(key, first, second) == 1, key
        again = until_ended(second, interrupted)
        assert [attempt["cause"] for attempt in again["attempts"]] == ["PROCESS_DIED", None]

        # And back again, with one that came at the last moment.
        late = submit(second, gate_prompt("late"))["id"]
        second.kill()
        wait_until(lambda: owner(first) == "on", TAKEOVER_S, what="the first to take over")
        open_gate(first, "late")
        assert until_ended(first, late)["status"] == "succeeded"
        for key, job_id in {**stored, **meanwhile}.items():
            assert job(first, job_id)["status"] == "succeeded"
            assert runs(key, first, second) == 1, key
