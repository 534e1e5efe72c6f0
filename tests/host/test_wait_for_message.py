"""The WaitForMessage node in a real ComfyUI: deadline, cancellation, caching, its socket events, and what goes on meanwhile."""

from __future__ import annotations

import json
import uuid

import pytest
import websocket

from tests.host.jobs_client import submit, until_ended
from tests.host.waiting_nodes import answer, left_idle, open_waits, pending
from tests.support.waiting import wait_until

WAIT = {"label": "Which?", "timeout_s": 60, "default_message": "nobody", "on_timeout": "use default"}


@pytest.fixture
def server(expeditor_server):
    """The shared server; nothing of the test waits on it afterwards."""
    with left_idle(expeditor_server) as server:
        yield server


def waiting_prompt(**changed):
    return {
        "7": {"class_type": "WaitForMessage", "inputs": {**WAIT, **changed}},
        "8": {"class_type": "PreviewAny", "inputs": {"source": ["7", 0]}},
    }


def shown(server, job_id):
    """ComfyUI's history follows the end that our own routes tell."""
    history = wait_until(lambda: server.get(f"/history/{job_id}").json().get(job_id), what="the history of the job")
    return history["outputs"]["8"]["text"]


def test_message_and_node_id_as_a_form_are_enough(server):
    job_id = submit(server, waiting_prompt())["id"]
    (wait,) = pending(server)
    assert (wait["node_id"], wait["prompt_id"], wait["label"]) == ("7", job_id, "Which?")
    assert answer(server, message="heron é", node_id="7").status_code == 200
    assert until_ended(server, job_id)["status"] == "succeeded"
    assert shown(server, job_id) == ["heron é"]
    assert answer(server, message="late", node_id="7", prompt_id=job_id).status_code == 410


def test_the_default_is_passed_on_at_the_deadline(server):
    job_id = submit(server, waiting_prompt(timeout_s=0.2))["id"]
    assert until_ended(server, job_id)["status"] == "succeeded"
    assert shown(server, job_id) == ["nobody"]


def test_a_wait_that_may_fail_fails_once_and_says_what_was_asked(server):
    job_id = submit(server, waiting_prompt(timeout_s=0.2, on_timeout="fail"))["id"]
    job = until_ended(server, job_id)
    assert (job["status"], job["cause"], job["attempt"]) == ("failed", "NODE_ERROR", 1)
    assert "Which?" in job["error"]["message"]


@pytest.mark.parametrize("timeout_s", [0, -1, 86401])
def test_a_deadline_out_of_range_is_refused_before_it_runs(server, timeout_s):
    response = server.post("/expeditor/submit", json={"prompt": waiting_prompt(timeout_s=timeout_s)})
    assert response.status_code == 422
    assert [fault["pointer"] for fault in response.json()["error"]["errors"]] == ["/prompt/7/inputs/timeout_s"]


def test_the_same_prompt_asks_again_every_time(server):
    for text in ("one", "two"):
        job_id = submit(server, waiting_prompt(label="Asked again?"))["id"]
        pending(server)
        answer(server, message=text, node_id="7")
        until_ended(server, job_id)
        assert shown(server, job_id) == [text]


def test_too_much_leaves_the_wait_open(server):
    job_id = submit(server, waiting_prompt())["id"]
    (wait,) = pending(server)
    assert answer(server, message="x" * (wait["max_bytes"] + 1), node_id="7").status_code == 413
    assert answer(server, message="x" * wait["max_bytes"], node_id="7").status_code == 200
    until_ended(server, job_id)
    assert shown(server, job_id) == ["x" * wait["max_bytes"]]


def test_core_interrupt_ends_every_wait_of_a_node_that_waits_twice(server):
    prompt = waiting_prompt(after=["2", 0])
    prompt["1"] = {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 2, "color": 0}}
    prompt["2"] = {"class_type": "RebatchImages", "inputs": {"images": ["1", 0], "batch_size": 1}}
    job_id = submit(server, prompt)["id"]
    tokens = {wait["token"] for wait in pending(server, count=2)}
    ambiguous = answer(server, message="for whom?", node_id="7")
    assert (ambiguous.status_code, set(ambiguous.json()["error"]["details"]["tokens"])) == (409, tokens)
    assert server.post("/interrupt").status_code == 200
    assert until_ended(server, job_id)["status"] == "canceled"
    assert open_waits(server) == []
    assert answer(server, message="late", node_id="7", token=tokens.pop()).status_code == 410


def test_the_rest_of_the_workflow_goes_on_while_it_waits(server):
    name = f"meanwhile-{uuid.uuid4().hex[:8]}"
    prompt = waiting_prompt()
    prompt["1"] = {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 0}}
    prompt["2"] = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": name}}
    job_id = submit(server, prompt)["id"]
    pending(server)
    wait_until(lambda: list((server.base / "output").glob(f"{name}*.png")), what="the other branch's image")
    assert server.get(f"/expeditor/jobs/{job_id}").json()["status"] == "running"
    pending(server)


def test_every_page_is_told_when_a_wait_opens_and_closes(server):
    socket = websocket.create_connection(f"{server.ws_url}?clientId=onlooker", timeout=20)
    try:
        job_id = submit(server, waiting_prompt(), client_id="somebody-else")["id"]
        (wait,) = pending(server)
        answer(server, message="x", node_id="7")
        until_ended(server, job_id)
        told = [next_event(socket), next_event(socket)]
    finally:
        socket.close()
    assert told == [{"type": "message.waiting", **wait}, {"type": "message.closed", **wait}]


def next_event(socket):
    """The next `expeditor.event` on the socket; the socket's timeout bounds the search."""
    while True:
        frame = socket.recv()
        if isinstance(frame, str) and (message := json.loads(frame))["type"] == "expeditor.event":
            return message["data"]


def test_the_nodes_help_is_served_to_the_page(server):
    help_page = server.get("/extensions/expeditor/docs/WaitForMessage.md")
    assert help_page.status_code == 200
    assert "timeout_s" in help_page.text
