"""What a restart does with the queue, by `recovery`, and that clients hear of every end that it brings, once."""

from __future__ import annotations

import uuid

from tests.host.jobs_client import ENDED, job, quick, submit, until_ended, until_status
from tests.host.socket_reader import Frame, SocketReader
from tests.host.stock_walk import TEST_NODES, gate_prompt, open_gate
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

LAST_WORDS = ("execution_success", "execution_error", "execution_interrupted")


def _end_of(frames: list[Frame], job_id: str) -> list[str]:
    """What was told of one job's end, in order; `end` stands for `executing` with no node."""
    of_job = [frame for frame in frames if frame.kind in (*LAST_WORDS, "executing")]
    of_job = [frame for frame in of_job if frame.data.get("prompt_id") == job_id]
    return [
        "end" if frame.kind == "executing" else frame.kind
        for frame in of_job
        if frame.kind != "executing" or frame.ends_prompt
    ]


def _until_end(socket: SocketReader, job_id: str) -> list[Frame]:
    return socket.until(
        lambda frame: frame.kind == "executing" and frame.ends_prompt and frame.data["prompt_id"] == job_id
    )


def _node(server: RealComfyUI, job_id: str) -> str | None:
    return (job(server, job_id)["progress"] or {}).get("current_node")


def test_three_starts_with_three_rules_and_every_end_is_told_once():
    client = str(uuid.uuid4())
    with RealComfyUI(packs=[TEST_NODES]) as server:
        runs = submit(server, gate_prompt("runs"), client_id=client, priority=9)["id"]
        until_status(server, runs, "running")
        waits = submit(server, quick(1), client_id=client)["id"]
        secret = submit(server, quick(2), client_id=client, extra_data={"api_key_comfy_org": "k"})["id"]

        server.env = {"EXPEDITOR_RECOVERY": "paused"}
        server.restart()
        assert server.get("/expeditor/queue").json()["paused"] is True
        with SocketReader(server, client) as socket:
            heard = _until_end(socket, secret)
        assert _end_of(heard, secret) == ["execution_error", "end"]
        assert (job(server, secret)["status"], job(server, secret)["cause"]) == ("failed", "SECRET_LOST")
        found = job(server, runs)
        assert (found["status"], [each["cause"] for each in found["attempts"]]) == ("queued", ["PROCESS_DIED"])
        assert (job(server, waits)["status"], job(server, waits)["waiting"]["reason"]) == ("queued", "paused")
        assert server.post("/expeditor/queue/resume").status_code == 200
        wait_until(lambda: _node(server, runs) == "1", what="the gate to be reached")

        server.env = {"EXPEDITOR_RECOVERY": "resume_except_running"}
        server.restart()
        with SocketReader(server, client) as socket:
            failed = until_ended(server, runs)
            assert (failed["status"], failed["cause"], failed["attempt"]) == ("failed", "PROCESS_DIED", 2)
            assert (failed["error"]["node_id"], failed["error"]["class_type"]) == ("1", "ExpeditorTestGate")
            assert failed["error"]["log_tail"]
            assert until_ended(server, waits)["status"] == "succeeded"
            open_gate(server, "runs")
            assert server.post(f"/expeditor/jobs/{runs}/retry").status_code == 200
            last = submit(server, quick(3), client_id=client, priority=1)["id"]
            frames = _until_end(socket, last)
        assert _end_of(frames, runs) == ["execution_error", "end", "execution_success", "end"]
        assert _end_of(frames, waits) == ["execution_success", "end"]
        assert _end_of(frames, secret) == [], "that one was told after the start before"
        assert job(server, runs)["status"] in ENDED
        assert server.get(f"/history/{runs}").json()[runs]["status"]["status_str"] == "success"
