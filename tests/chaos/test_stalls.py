"""Runs that go silent, on a real server: stopped as STALLED; what cannot be stopped ends the process, if so wished, with the queue safe."""

from __future__ import annotations

from typing import Any

from tests.host.jobs_client import job, quick, submit, until_ended, until_status
from tests.host.stock_walk import TEST_NODES, gate_prompt, open_gate
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

IMPATIENT = {"EXPEDITOR_STALL_TIMEOUT_S": "1.5", "EXPEDITOR_KILL_GRACE_S": "1"}


def hangs(gate: str) -> dict[str, Any]:
    """A prompt that cannot be interrupted."""
    return {"5": {"class_type": "ExpeditorTestHangs", "inputs": {"name": gate}}}


def waits_for_a_person(timeout_s: float) -> dict[str, Any]:
    """A prompt that asks something."""
    asks = {"label": "?", "timeout_s": timeout_s, "default_message": "", "on_timeout": "use default"}
    return {
        "1": {"class_type": "WaitForMessage", "inputs": asks},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }


def test_a_silent_run_is_stopped_and_one_that_waits_for_a_person_is_not():
    with RealComfyUI(packs=[TEST_NODES], env=IMPATIENT) as server:
        silent = submit(server, gate_prompt("never"), max_attempts=1)["id"]
        ended = until_ended(server, silent)
        assert (ended["status"], ended["cause"]) == ("failed", "STALLED")
        assert ended["error"]["node_id"] == "1"
        assert ended["error"]["class_type"] == "ExpeditorTestGate"
        asked = submit(server, waits_for_a_person(4.0))["id"]
        assert until_ended(server, asked)["status"] == "succeeded"
        assert server.get("/expeditor/health").json()["status"] == "ok"


def test_a_run_that_was_stopped_for_its_silence_is_tried_again():
    with RealComfyUI(packs=[TEST_NODES], env=IMPATIENT) as server:
        silent = submit(server, gate_prompt("hung"))["id"]
        wait_until(lambda: job(server, silent)["attempts"][:1] and job(server, silent)["attempts"][0]["cause"], 30)
        open_gate(server, "hung")
        ended = until_ended(server, silent)
        assert (ended["status"], ended["cause"], ended["error"]) == ("succeeded", None, None)
        assert {attempt["cause"] for attempt in ended["attempts"][:-1]} == {"STALLED"}


def test_a_run_that_cannot_be_stopped_is_shown_on_health_until_it_ends():
    with RealComfyUI(packs=[TEST_NODES], env=IMPATIENT) as server:
        deaf = submit(server, hangs("deaf"))["id"]

        def stuck() -> bool:
            return f"job {deaf} does not stop" in str(server.get("/expeditor/health").json()["fault"])

        wait_until(stuck, 30)
        assert server.get("/expeditor/ready").status_code == 503
        open_gate(server, "deaf")
        until_ended(server, deaf)
        wait_until(lambda: server.get("/expeditor/ready").status_code == 200, 30)


def test_a_run_that_cannot_be_stopped_ends_the_process_and_the_queue_goes_on():
    with RealComfyUI(packs=[TEST_NODES], env={**IMPATIENT, "EXPEDITOR_EXIT_ON_STALL": "true"}) as server:
        deaf = submit(server, hangs("deaf"), priority=9, max_attempts=1)["id"]
        until_status(server, deaf, "running")
        others = [submit(server, quick(number))["id"] for number in range(3)]
        assert server.wait_exit(60) == 75
        server.start()
        ended = job(server, deaf)
        assert (ended["status"], ended["cause"], ended["attempt"]) == ("failed", "STALLED", 1)
        assert (ended["error"]["node_id"], ended["error"]["class_type"]) == ("5", "ExpeditorTestHangs")
        for other in others:
            assert until_ended(server, other)["status"] == "succeeded"
        assert [job(server, other)["attempt"] for other in others] == [1, 1, 1]


def test_a_job_whose_run_ended_the_process_is_put_back_before_it_ends():
    with RealComfyUI(packs=[TEST_NODES], env={**IMPATIENT, "EXPEDITOR_EXIT_ON_STALL": "true"}) as server:
        deaf = submit(server, hangs("deaf"))["id"]
        assert server.wait_exit(60) == 75
        open_gate(server, "deaf")
        server.start()
        ended = until_ended(server, deaf)
        assert (ended["status"], [each["cause"] for each in ended["attempts"]]) == ("succeeded", ["STALLED", None])
        assert ended["attempts"][0]["last_node_id"] == "5"


def test_a_worker_thread_that_has_died_ends_the_process_and_the_queue_goes_on():
    with RealComfyUI(packs=[TEST_NODES], env={"EXPEDITOR_EXIT_ON_STALL": "true"}) as server:
        submit(server, {"1": {"class_type": "ExpeditorTestEndsWorker", "inputs": {}}})
        assert server.wait_exit(60) == 76
        assert '"event": "exit.worker_died"' in server.log_text()
        server.start()
        assert until_ended(server, submit(server, quick(1))["id"])["status"] == "succeeded"
