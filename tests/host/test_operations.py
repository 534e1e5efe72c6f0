"""An operator at work on a real ComfyUI: hold, pause, drain, clear, retry, times, and why a job waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.host.jobs_client import job, occupy, quick, submit, until_ended, until_status
from tests.host.stock_walk import TEST_NODES, gate_prompt, open_gate
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def one_server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES]) as running:
        yield running


@pytest.fixture
def server(one_server: RealComfyUI) -> RealComfyUI:
    """The server with an open queue and nothing left to do from the test before."""
    if not one_server.running:
        one_server.start()
    act(one_server, "/expeditor/queue/resume")
    act(one_server, "/expeditor/jobs/cancel?all=true")
    wait_until(lambda: queue(one_server)["running"] == 0, what="an idle machine")
    return one_server


def act(server: RealComfyUI, path: str, **options: Any) -> dict[str, Any]:
    """What a POST answers; it must succeed."""
    answer = server.post(path, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def queue(server: RealComfyUI) -> dict[str, Any]:
    return server.get("/expeditor/queue").json()


def on_list(server: RealComfyUI) -> list[str]:
    """The waiting prompts that ComfyUI's own route lists."""
    return [item[1] for item in server.get("/queue").json()["queue_pending"]]


def history_of(server: RealComfyUI, job_id: str) -> str | None:
    """How ComfyUI's history says that the job ended; None while it says nothing."""
    told = server.get(f"/history/{job_id}").json().get(job_id)
    return told["status"]["status_str"] if told else None


def raises(key: str, times: int = 1) -> dict[str, Any]:
    """A prompt that fails on its first runs with an error that is never tried again."""
    inputs = {"error": "ValueError", "text": "no", "times": times, "key": key}
    return {"1": {"class_type": "ExpeditorTestRaises", "inputs": inputs}}


def test_a_held_job_is_passed_over_until_it_is_released(server: RealComfyUI):
    occupy(server, "hold")
    held, other = (submit(server, quick(700 + number))["id"] for number in range(2))
    assert act(server, f"/expeditor/jobs/{held}/hold")["waiting"]["reason"] == "held"
    open_gate(server, "hold")
    assert until_ended(server, other)["status"] == "succeeded"
    assert (job(server, held)["status"], on_list(server)) == ("queued", [held])
    act(server, f"/expeditor/jobs/{held}/release")
    assert until_ended(server, held)["status"] == "succeeded"


def test_a_pause_survives_a_kill_and_keeps_what_came(server: RealComfyUI):
    assert act(server, "/expeditor/queue/pause")["paused"] is True
    waiting = submit(server, quick(710))
    assert waiting["waiting"]["reason"] == "paused"
    server.kill()
    server.start()
    assert queue(server)["paused"] is True
    again = job(server, waiting["id"])
    assert (again["status"], again["waiting"]["reason"], again["eta_s"]) == ("queued", "paused", None)
    assert server.get("/expeditor/ready").status_code == 200
    act(server, "/expeditor/queue/resume")
    assert until_ended(server, waiting["id"])["status"] == "succeeded"


def test_a_drained_server_finishes_what_runs_refuses_the_rest_and_is_itself_again_after_a_restart(server: RealComfyUI):
    running = occupy(server, "drain")
    waiting = submit(server, quick(720))["id"]
    assert act(server, "/expeditor/queue/drain")["draining"] is True
    ours = server.post("/expeditor/submit", json={"prompt": quick(721)})
    stock = server.post("/prompt", json={"prompt": quick(721)})
    for refused in (ours, stock):
        assert (refused.status_code, refused.reason) == (503, "DRAINING")
        assert int(refused.headers["Retry-After"]) >= 1
    assert stock.json()["error"]["extra_info"]["code"] == "DRAINING"
    assert stock.json()["node_errors"] == {}
    ready = server.get("/expeditor/ready")
    assert (ready.status_code, "draining" in ready.json()["reason"]) == (503, True)
    open_gate(server, "drain")
    assert until_ended(server, running)["status"] == "succeeded"
    assert (queue(server)["running"], job(server, waiting)["waiting"]["reason"]) == (0, "draining")
    server.restart()
    assert queue(server)["draining"] is False
    assert until_ended(server, waiting)["status"] == "succeeded"


def test_resume_ends_a_drain(server: RealComfyUI):
    act(server, "/expeditor/queue/pause")
    waiting = submit(server, quick(730))["id"]
    act(server, "/expeditor/queue/drain")
    act(server, "/expeditor/queue/resume")
    assert until_ended(server, waiting)["status"] == "succeeded"


def test_clear_empties_both_lists_and_leaves_what_runs(server: RealComfyUI):
    running = occupy(server, "clear")
    waiting = [submit(server, quick(740 + number))["id"] for number in range(3)]
    act(server, f"/expeditor/jobs/{waiting[0]}/hold")
    assert act(server, "/expeditor/queue/clear")["canceled"] == 3
    assert [job(server, job_id)["status"] for job_id in waiting] == ["canceled"] * 3
    assert (on_list(server), queue(server)["waiting"]) == ([], 0)
    open_gate(server, "clear")
    assert until_ended(server, running)["status"] == "succeeded"


def test_a_job_does_not_start_before_its_time_though_nothing_else_happens(server: RealComfyUI):
    start_s = time.time() + 4
    late = submit(server, quick(750), not_before=start_s)
    assert late["waiting"]["reason"] == "not_before"
    ended = until_ended(server, late["id"])
    assert ended["status"] == "succeeded"
    assert ended["started_at"] >= late["not_before"]


def test_a_job_expires_while_another_one_runs(server: RealComfyUI):
    occupy(server, "expire")
    short = submit(server, quick(760), expires_in_s=2)["id"]
    ended = until_status(server, short, "expired", "running")
    assert (ended["status"], ended["cause"], ended["attempts"]) == ("expired", "EXPIRED", [])
    wait_until(lambda: on_list(server) == [], what="ComfyUI's list to be empty")
    open_gate(server, "expire")


def test_a_failed_job_runs_again_with_the_same_id(server: RealComfyUI):
    failed = until_ended(server, submit(server, raises("retry-one"))["id"])
    assert (failed["status"], failed["cause"]) == ("failed", "NODE_ERROR")
    act(server, f"/expeditor/jobs/{failed['id']}/retry")
    again = until_status(server, failed["id"], "succeeded")
    assert [attempt["outcome"] for attempt in again["attempts"]] == ["failed", "succeeded"]
    wait_until(lambda: history_of(server, failed["id"]) == "success", what="ComfyUI's history to tell the new end")
    assert server.post(f"/expeditor/jobs/{failed['id']}/retry").status_code == 409


def test_a_retried_job_is_listed_as_any_other_and_can_be_deleted_there(server: RealComfyUI):
    failed = until_ended(server, submit(server, raises("retry-listed"))["id"])["id"]
    occupy(server, "retry-listed")
    wait_until(lambda: history_of(server, failed) == "error", what="ComfyUI's history to tell the end")
    act(server, f"/expeditor/jobs/{failed}/retry")
    act(server, f"/expeditor/jobs/{failed}/retry")
    wait_until(lambda: on_list(server) == [failed], what="ComfyUI's list to show the job again")
    assert history_of(server, failed) is None, "its end was taken back"
    server.post("/queue", json={"delete": [failed]})
    assert (job(server, failed)["status"], on_list(server)) == ("canceled", [])
    open_gate(server, "retry-listed")


def test_all_dead_letters_run_again_with_one_call(server: RealComfyUI):
    dead = [submit(server, raises(f"bulk-{number}"))["id"] for number in range(3)]
    assert {until_ended(server, job_id)["status"] for job_id in dead} == {"failed"}
    listed = server.get("/expeditor/jobs", params={"status": "failed", "cause": "NODE_ERROR"}).json()["jobs"]
    assert {each["id"] for each in listed} >= set(dead)
    report = act(server, "/expeditor/jobs/retry", json={"cause": "NODE_ERROR"})
    assert (report["retried"], report["refused"]) == (len(listed), 0)
    assert {until_ended(server, job_id)["status"] for job_id in dead} == {"succeeded"}


def test_a_job_says_why_it_waits(server: RealComfyUI):
    occupy(server, "why")
    submit(server, quick(770), priority=10, client_id="somebody-else")
    submit(server, quick(771), priority=9, client_id="me")
    waiting = submit(server, gate_prompt("why-next"), client_id="me")["waiting"]
    assert (waiting["reason"], waiting["position"]) == ("ahead_in_line", 3)
    assert waiting["ahead"]["by_priority"] == {"10": 1, "9": 1}
    assert (waiting["ahead"]["own"], waiting["ahead"]["running"]) == (1, 1)
    assert waiting["message"].startswith("2 jobs stand before it (1 of priority 10, 1 of priority 9; 1 of them")
    assert waiting["eta_basis"] in ("same_workflow", "all_workflows", "default")
    assert "somebody-else" not in str(waiting)
    act(server, "/expeditor/queue/clear")
    open_gate(server, "why")
