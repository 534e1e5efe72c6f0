"""The main job on a real ComfyUI: submit with a priority, order, run, observe, fetch the picture, cancel, reprioritise."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.host.jobs_client import job, occupy, order_of_start, quick, submit, until_ended, until_status
from tests.host.stock_walk import TEST_NODES, gate_prompt, image_prompt, open_gate
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def one_server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES]) as running:
        yield running


@pytest.fixture
def server(one_server: RealComfyUI) -> RealComfyUI:
    """The server with nothing left to do from the test before."""

    def idle() -> bool:
        queue = one_server.get("/expeditor/queue").json()
        return queue["waiting"] + queue["running"] == 0

    wait_until(idle, what="an idle queue")
    return one_server


def styled(color: int) -> dict[str, Any]:
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 96, "height": 64, "batch_size": 1, "color": color}},
        "2": {"class_type": "StyleTransferNode", "inputs": {"image": ["1", 0], "style": "vangogh", "intensity": 0.7}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "styled"}},
    }


def test_a_styled_picture_from_submit_to_its_bytes(server: RealComfyUI):
    accepted = submit(server, styled(0x336699), priority=8, metadata={"album": "first"})
    assert accepted["status"] in ("queued", "running")
    assert (accepted["priority"], accepted["metadata"]) == (8, {"album": "first"})
    ended = until_ended(server, accepted["id"], deadline_s=120)
    assert ended["status"] == "succeeded", ended
    assert [attempt["outcome"] for attempt in ended["attempts"]] == ["succeeded"]
    (output,) = ended["outputs"]
    assert (output["node_id"], output["type"], output["content_type"]) == ("3", "image", "image/png")
    picture = server.get(output["url"].removeprefix(server.url)).content
    assert picture.startswith(b"\x89PNG")
    assert len(picture) == output["size_bytes"]
    history = server.get(f"/history/{accepted['id']}").json()[accepted["id"]]
    assert history["status"]["status_str"] == "success"


def test_the_same_graph_again_says_that_it_came_from_the_cache(server: RealComfyUI):
    prompt = image_prompt(0x010203, "cached")
    first = until_ended(server, submit(server, prompt)["id"])
    again = until_ended(server, submit(server, prompt)["id"])
    assert (first["cached"], again["cached"]) == (False, True)
    assert [output["name"] for output in again["outputs"]] == [output["name"] for output in first["outputs"]]


PLACES = {
    "top of the body": lambda prompt, priority: {"prompt": prompt, "_priority": priority},
    "inside prompt": lambda prompt, priority: {"prompt": {"_priority": priority, **prompt}},
    "extra_data": lambda prompt, priority: {"prompt": prompt, "extra_data": {"_priority": priority}},
    "the workflow": lambda prompt, priority: {
        "prompt": prompt,
        "extra_data": {"extra_pnginfo": {"workflow": {"extra": {"expeditor": {"priority": priority}}}}},
    },
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("route", ["/prompt", "/api/prompt", "/expeditor/submit", "/api/expeditor/submit"])
def test_priority_is_found_wherever_a_client_puts_it(server: RealComfyUI, route: str, place: str):
    body = PLACES[place](quick(hash(place) % 1000), 9)
    answer = server.post(route, json=body)
    assert answer.status_code in (200, 201), answer.text
    job_id = answer.json().get("prompt_id") or answer.json()["id"]
    assert job(server, job_id)["priority"] == 9


@pytest.mark.parametrize("value", [0, 11, "5", 2.5, True, [3]])
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_priority_is_refused_with_the_range(server: RealComfyUI, place: str, value: object):
    for route, status in (("/prompt", 400), ("/expeditor/submit", 422)):
        answer = server.post(route, json=PLACES[place](quick(1), value))
        assert answer.status_code == status, answer.text
        assert "1 to 10" in answer.json()["error"]["message"]
        assert answer.reason == "INPUT_INVALID"


def test_waiting_jobs_run_by_priority_across_both_doors(server: RealComfyUI):
    occupy(server, "by-priority")
    submitted: dict[str, int] = {}
    for salt, priority in enumerate([3, 1, 10, 5, 8], start=100):
        if salt % 2:
            answer = server.post("/prompt", json={"prompt": quick(salt), "_priority": priority})
            submitted[answer.json()["prompt_id"]] = priority
        else:
            submitted[submit(server, quick(salt), priority=priority)["id"]] = priority
    positions = {priority: job(server, job_id)["position"] for job_id, priority in submitted.items()}
    assert sorted(positions, key=lambda priority: positions[priority]) == [10, 8, 5, 3, 1]
    queue = server.get("/expeditor/queue").json()
    assert (queue["waiting"], queue["running"]) == (5, 1)
    assert set(queue["by_priority"]) == {"1", "3", "5", "8", "10"}
    open_gate(server, "by-priority")
    assert [submitted[job_id] for job_id in order_of_start(server, list(submitted))] == [10, 8, 5, 3, 1]


def test_a_late_urgent_job_runs_before_everything_that_waits(server: RealComfyUI):
    occupy(server, "late")
    early = [submit(server, quick(200 + number))["id"] for number in range(3)]
    urgent = submit(server, quick(210), priority=10)["id"]
    open_gate(server, "late")
    assert order_of_start(server, [*early, urgent]) == [urgent, *early]


def test_front_goes_before_the_head_through_both_doors(server: RealComfyUI):
    occupy(server, "front")
    head = submit(server, quick(220), priority=10)["id"]
    first = server.post("/prompt", json={"prompt": quick(221), "front": True}).json()["prompt_id"]
    second = submit(server, quick(222), front=True)["id"]
    open_gate(server, "front")
    assert order_of_start(server, [head, first, second]) == [second, first, head]


def test_a_waiting_job_is_given_another_place(server: RealComfyUI):
    occupy(server, "reprioritise")
    a, b, c = (submit(server, quick(230 + number), priority=3)["id"] for number in range(3))
    raised = server.post(f"/expeditor/jobs/{c}/priority", json={"priority": 9})
    assert (raised.status_code, raised.json()["priority"], raised.json()["position"]) == (200, 9, 1)
    by_form = server.post(f"/expeditor/jobs/{b}/priority", data={"front": "true"})
    assert (by_form.status_code, by_form.json()["position"]) == (200, 1)
    wrong = server.post(f"/expeditor/jobs/{a}/priority", json={"priority": 11})
    assert (wrong.status_code, wrong.reason) == (422, "INPUT_INVALID")
    open_gate(server, "reprioritise")
    assert order_of_start(server, [a, b, c]) == [b, c, a]
    late = server.post(f"/expeditor/jobs/{a}/priority", json={"priority": 1})
    assert (late.status_code, late.json()["error"]["details"]["status"]) == (409, "succeeded")


def test_a_queued_job_is_canceled_and_never_runs(server: RealComfyUI):
    occupy(server, "cancel-queued")
    doomed = submit(server, quick(240))["id"]
    canceled = server.post(f"/expeditor/jobs/{doomed}/cancel").json()
    assert (canceled["status"], canceled["cause"], canceled["attempts"]) == ("canceled", "CANCELED", [])
    assert doomed not in [entry[1] for entry in server.get("/queue").json()["queue_pending"]]
    assert server.post(f"/expeditor/jobs/{doomed}/cancel").json()["status"] == "canceled"
    open_gate(server, "cancel-queued")


def test_a_running_job_is_canceled(server: RealComfyUI):
    held = occupy(server, "cancel-running")
    assert server.post(f"/expeditor/jobs/{held}/cancel").json()["status"] in ("canceling", "canceled")
    ended = until_ended(server, held)
    assert (ended["status"], ended["cause"]) == ("canceled", "CANCELED")


def test_cancels_at_any_moment_are_never_lost(server: RealComfyUI):
    """A cancel right after submit meets every state between queued and running; each job must end canceled."""
    gates = [f"never-{uuid.uuid4()}" for _ in range(12)]
    for gate in gates:
        held = submit(server, gate_prompt(gate), priority=10)["id"]
        server.post(f"/expeditor/jobs/{held}/cancel")
        assert until_ended(server, held)["status"] == "canceled"


def test_stock_interrupt_and_delete_are_told_to_the_jobs_api(server: RealComfyUI):
    held = occupy(server, "stock-verbs")
    waiting = submit(server, quick(250))["id"]
    assert server.post("/queue", json={"delete": [waiting]}).status_code == 200
    assert job(server, waiting)["status"] == "canceled"
    assert server.post("/interrupt", json={"prompt_id": held}).status_code == 200
    ended = until_ended(server, held)
    assert (ended["status"], ended["cause"]) == ("canceled", "INTERRUPTED")


def test_clear_cancels_all_that_wait(server: RealComfyUI):
    occupy(server, "clear")
    waiting = [submit(server, quick(260 + number))["id"] for number in range(4)]
    assert server.post("/queue", json={"clear": True}).status_code == 200
    assert {job(server, job_id)["status"] for job_id in waiting} == {"canceled"}
    open_gate(server, "clear")


@pytest.mark.parametrize(
    ("node", "cause"), [("ExpeditorTestRaises", "NODE_ERROR"), ("ExpeditorTestOutOfMemory", "OUT_OF_MEMORY")]
)
def test_a_failed_job_says_which_node_and_why(server: RealComfyUI, node: str, cause: str):
    failed = until_ended(server, submit(server, {"7": {"class_type": node, "inputs": {}}})["id"])
    assert (failed["status"], failed["cause"], failed["error"]["node_id"]) == ("failed", cause, "7")
    assert failed["error"]["class_type"] == node
    assert failed["error"]["message"]


def test_system_exit_in_a_node_fails_the_job_and_the_worker_lives(server: RealComfyUI):
    prompt = {"1": {"class_type": "ExpeditorTestRaisesSystemExit", "inputs": {"code": 3}}}
    assert until_ended(server, submit(server, prompt)["id"])["status"] == "failed"
    assert until_ended(server, submit(server, quick(270))["id"])["status"] == "succeeded"
    assert server.get("/expeditor/health").json()["worker_alive"] is True


def test_an_output_that_is_no_json_does_not_break_history(server: RealComfyUI):
    prompt = {"1": {"class_type": "ExpeditorTestUnserialisableUI", "inputs": {"salt": 1}}}
    ended = until_ended(server, submit(server, prompt)["id"])
    assert ended["status"] == "succeeded"
    assert server.get("/history").status_code == 200


def test_unknown_job_and_unknown_filters(server: RealComfyUI):
    missing = server.get(f"/expeditor/jobs/{uuid.uuid4()}")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "NOT_FOUND")
    wrong = server.get("/expeditor/jobs?statsu=queued")
    assert wrong.status_code == 422
    assert "status" in wrong.json()["error"]["errors"][0]["hint"]


def test_a_known_prompt_id_with_another_body_is_a_conflict_at_both_doors(server: RealComfyUI):
    chosen = str(uuid.uuid4())
    assert submit(server, quick(280), prompt_id=chosen)["id"] == chosen
    for route in ("/expeditor/submit", "/prompt"):
        again = server.post(route, json={"prompt": quick(281), "prompt_id": chosen})
        assert (again.status_code, again.reason) == (409, "CONFLICT"), again.text
    until_ended(server, chosen)


def test_listing_pages_through_all_jobs_newest_first(server: RealComfyUI):
    known = [until_ended(server, submit(server, quick(290 + number))["id"])["id"] for number in range(3)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = server.get(f"/expeditor/jobs?limit=2&status=succeeded{cursor}").json()
        seen += [entry["id"] for entry in page["jobs"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen))
    assert [job_id for job_id in seen if job_id in known] == known[::-1]


def test_progress_of_a_running_job(server: RealComfyUI):
    prompt = {"1": {"class_type": "ExpeditorTestSleepy", "inputs": {"seconds": 20.0, "steps": 200, "salt": 1}}}
    held = submit(server, prompt, priority=10)["id"]
    until_status(server, held, "running")

    def progress() -> dict[str, Any] | None:
        snapshot = job(server, held)["progress"]
        return snapshot if snapshot and (snapshot["step"] or 0) > 2 else None

    snapshot = wait_until(progress, what="progress")
    assert snapshot is not None
    assert (snapshot["current_node"], snapshot["current_node_class"], snapshot["steps"]) == (
        "1",
        "ExpeditorTestSleepy",
        200,
    )
    assert 0 < snapshot["value"] < 1
    server.post(f"/expeditor/jobs/{held}/cancel")
    assert until_ended(server, held)["status"] == "canceled"
