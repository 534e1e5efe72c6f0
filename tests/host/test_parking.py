"""Prompts that wait for people give the machine to others on a real ComfyUI, and go on where they were."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.host.asking_client import (
    answer,
    asking,
    counting,
    history,
    listed,
    parked,
    pending,
    quick,
    runs,
    shown,
    shows,
    wait_node,
)
from tests.host.jobs_client import job, submit, until_ended, until_status
from tests.host.socket_reader import Frame, SocketReader
from tests.host.stock_walk import TEST_NODES, gate_prompt, open_gate
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

SETTINGS = {"EXPEDITOR_PARK_AFTER_S": "0"}


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES], env=SETTINGS) as running:
        yield running


def test_another_job_runs_while_one_waits_and_nothing_runs_twice(server: RealComfyUI):
    job_id = parked(server, asking("meanwhile"))
    other = submit(server, quick())["id"]
    assert until_ended(server, other)["status"] == "succeeded"
    (wait,) = pending(server, job_id)
    assert (wait["node_id"], wait["label"], job(server, job_id)["status"]) == ("7", "Go on?", "waiting")
    assert answer(server, message="on", node_id="7", token=wait["token"]) == 200
    assert answer(server, message="again", node_id="7", token=wait["token"]) == 410
    ended = until_ended(server, job_id)
    assert (ended["status"], ended["attempt"], shown(server, job_id)) == ("succeeded", 1, ["on"])
    assert runs(server, "meanwhile") == 1
    assert pending(server, job_id) == []


def ends(frames: list[Frame], job_id: str) -> list[str]:
    """What a client heard of a prompt's end."""
    words = ("execution_success", "execution_error", "execution_interrupted")
    of_job = [frame for frame in frames if (frame.data or {}).get("prompt_id") == job_id]
    return [frame.kind for frame in of_job if frame.kind in words or frame.ends_prompt]


def test_the_client_hears_one_end_and_the_lists_tell_the_truth(server: RealComfyUI):
    client_id = uuid.uuid4().hex
    with SocketReader(server, client_id) as reader:
        job_id = parked(server, asking("one-end"), client_id=client_id)
        assert listed(server) == {"running": [], "pending": [job_id]}
        assert server.get(f"/history/{job_id}").json() == {}
        answer(server, message="on", node_id="7", prompt_id=job_id)
        frames = reader.until(lambda frame: frame.ends_prompt and frame.data["prompt_id"] == job_id)
    assert ends(frames, job_id) == ["execution_success", "executing"]
    starts = [frame for frame in frames if frame.kind == "execution_cached" and frame.data["prompt_id"] == job_id]
    assert [frame.data["nodes"] for frame in starts] == [[], ["1"]]
    assert listed(server) == {"running": [], "pending": []}
    assert history(server, job_id)["status"]["status_str"] == "success"
    assert job(server, job_id)["parked_s"] > 0


def test_pictures_that_were_made_before_are_outputs_once(server: RealComfyUI):
    prompt = asking("pictures")
    prompt["2"] = {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 7}}
    prompt["3"] = {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": uuid.uuid4().hex}}
    job_id = parked(server, prompt)
    submit_other = submit(server, quick())["id"]
    until_ended(server, submit_other)
    assert job(server, job_id)["outputs"] == []
    answer(server, message="on", node_id="7", prompt_id=job_id)
    (output,) = until_ended(server, job_id)["outputs"]
    assert (output["node_id"], output["cached"]) == ("3", False), "this very job made it"
    assert list(history(server, job_id)["outputs"]) == ["3", "8"]


def test_several_wait_at_once_and_each_gets_its_own_answer(server: RealComfyUI):
    job_ids = [parked(server, asking(f"several-{number}")) for number in range(3)]
    assert len(pending(server, *job_ids)) == 3
    for job_id in reversed(job_ids):
        assert answer(server, message=f"for {job_id}", node_id="7", prompt_id=job_id) == 200
    for number, job_id in enumerate(job_ids):
        assert until_ended(server, job_id)["status"] == "succeeded"
        assert (shown(server, job_id), runs(server, f"several-{number}")) == ([f"for {job_id}"], 1)


def test_the_same_workflow_twice_shares_no_answer(server: RealComfyUI):
    first, second = (parked(server, asking("shared")) for _ in range(2))
    answer(server, message="one", node_id="7", prompt_id=first)
    assert (until_ended(server, first)["status"], shown(server, first)) == ("succeeded", ["one"])
    assert job(server, second)["status"] == "waiting"
    answer(server, message="two", node_id="7", prompt_id=second)
    assert (until_ended(server, second)["status"], shown(server, second)) == ("succeeded", ["two"])
    assert runs(server, "shared") == 1


def test_what_is_left_of_a_prompt_is_done_before_it_is_parked(server: RealComfyUI):
    prompt = asking("branches")
    prompt["4"] = {"class_type": "ExpeditorTestSleepy", "inputs": {"seconds": 1.0}}
    prompt["5"] = counting("branches-later")
    prompt["6"] = shows(["5", 0])
    job_id = parked(server, prompt)
    assert runs(server, "branches-later") == 1
    answer(server, message="on", node_id="7", prompt_id=job_id)
    assert until_ended(server, job_id)["status"] == "succeeded"
    assert (runs(server, "branches"), runs(server, "branches-later")) == (1, 1)


def test_two_questions_one_after_the_other_and_nothing_between_runs_twice(server: RealComfyUI):
    prompt = asking("before")
    prompt["9"] = {"class_type": "ExpeditorTestCounts", "inputs": {"key": "between", "salt": 0, "after": ["7", 0]}}
    prompt["10"] = wait_node(["9", 0], label="And now?")
    prompt["11"] = shows(["10", 0])
    job_id = parked(server, prompt)
    answer(server, message="first", node_id="7", prompt_id=job_id)
    wait_until(lambda: [wait["node_id"] for wait in pending(server, job_id)] == ["10"], what="the second question")
    until_status(server, job_id, "waiting")
    until_ended(server, submit(server, quick())["id"])
    answer(server, message="second", node_id="10", prompt_id=job_id)
    assert until_ended(server, job_id)["status"] == "succeeded"
    assert (shown(server, job_id), shown(server, job_id, "11")) == (["first"], ["second"])
    assert (runs(server, "before"), runs(server, "between")) == (1, 1)


def test_two_questions_at_once_are_parked_together(server: RealComfyUI):
    prompt = {**asking("both"), "17": wait_node(["1", 0], label="Other?"), "18": shows(["17", 0])}
    job_id = parked(server, prompt)
    tokens = {wait["node_id"]: wait["token"] for wait in pending(server, job_id)}
    assert set(tokens) == {"7", "17"}
    assert answer(server, message="one", node_id="17", token=tokens["17"]) == 200
    wait_until(lambda: [wait["token"] for wait in pending(server, job_id)] == [tokens["7"]], what="the other one")
    until_status(server, job_id, "waiting")
    assert answer(server, message="two", node_id="7", token=tokens["7"]) == 200
    assert until_ended(server, job_id)["status"] == "succeeded"
    assert (shown(server, job_id), shown(server, job_id, "18"), runs(server, "both")) == (["two"], ["one"], 1)


def test_answers_to_two_questions_one_right_after_the_other_both_count(server: RealComfyUI):
    for turn in range(8):  # the second comes at other moments of the first one's way
        prompt = {**asking(f"both-{turn}"), "17": wait_node(["1", 0]), "18": shows(["17", 0])}
        job_id = parked(server, prompt)
        tokens = {wait["node_id"]: wait["token"] for wait in pending(server, job_id)}
        assert [answer(server, message=node, node_id=node, token=tokens[node]) for node in ("7", "17")] == [200, 200]
        assert until_ended(server, job_id)["status"] == "succeeded"
        assert (shown(server, job_id), shown(server, job_id, "18")) == (["7"], ["17"])


def test_a_job_that_is_tried_again_after_its_answer_is_not_asked_twice(server: RealComfyUI):
    prompt = asking("again")
    prompt["9"] = {"class_type": "ExpeditorTestCounts", "inputs": {"key": "behind", "salt": 0, "after": ["7", 0]}}
    fails = {"times": 1, "key": "again-memory", "after": ["9", 0]}
    prompt["10"] = {"class_type": "ExpeditorTestOutOfMemory", "inputs": fails}
    job_id = parked(server, prompt)
    assert answer(server, message="kept", node_id="7", prompt_id=job_id) == 200
    ended = until_ended(server, job_id)
    assert (ended["status"], ended["attempt"], shown(server, job_id)) == ("succeeded", 2, ["kept"])


def test_a_node_that_asks_for_each_of_a_list_gets_each_answer_back(server: RealComfyUI):
    prompt = asking("list")
    prompt["2"] = {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 2, "color": 0}}
    prompt["3"] = {"class_type": "RebatchImages", "inputs": {"images": ["2", 0], "batch_size": 1}}
    prompt["7"]["inputs"]["after"] = ["3", 0]
    job_id = parked(server, prompt)
    first, second = pending(server, job_id)
    assert answer(server, message="one", node_id="7", token=first["token"]) == 200
    until_status(server, job_id, "running", "waiting")
    wait_until(lambda: [wait["token"] for wait in pending(server, job_id)] == [second["token"]], what="the second")
    assert answer(server, message="two", node_id="7", token=second["token"]) == 200
    assert until_ended(server, job_id)["status"] == "succeeded"
    assert sorted(part for text in shown(server, job_id) for part in ([text] if isinstance(text, str) else text)) == [
        "one",
        "two",
    ]


def test_the_deadline_brings_it_back_with_the_default(server: RealComfyUI):
    job_id = parked(server, asking("deadline", timeout_s=1.5))
    ended = until_ended(server, job_id)
    assert (ended["status"], ended["attempt"], shown(server, job_id)) == ("succeeded", 1, ["nobody"])
    assert runs(server, "deadline") == 1


@pytest.mark.parametrize("way", ["cancel", "interrupt", "delete", "clear"])
def test_it_can_be_ended_like_any_other(server: RealComfyUI, way: str):
    client_id = uuid.uuid4().hex
    with SocketReader(server, client_id) as reader:
        job_id = parked(server, asking(f"ended-by-{way}"), client_id=client_id)
        (wait,) = pending(server, job_id)
        path, body = {
            "cancel": (f"/expeditor/jobs/{job_id}/cancel", {}),
            "interrupt": ("/interrupt", {"prompt_id": job_id}),
            "delete": ("/queue", {"delete": [job_id]}),
            "clear": ("/queue", {"clear": True}),
        }[way]
        assert server.post(path, json=body).status_code == 200
        ended = until_ended(server, job_id)
        frames = reader.until(lambda frame: frame.ends_prompt and frame.data["prompt_id"] == job_id)
    assert (ended["status"], ended["attempts"][0]["outcome"]) == ("canceled", "canceled")
    assert ends(frames, job_id) == ["execution_interrupted", "executing"]
    assert (listed(server), pending(server, job_id)) == ({"running": [], "pending": []}, [])
    assert answer(server, message="late", node_id="7", token=wait["token"]) == 410


def test_its_end_does_not_touch_what_runs(server: RealComfyUI):
    job_id = parked(server, asking("bystander"))
    running = submit(server, gate_prompt("bystander"))["id"]
    until_status(server, running, "running")
    assert server.post("/interrupt", json={"prompt_id": job_id}).status_code == 200
    assert until_ended(server, job_id)["status"] == "canceled"
    assert job(server, running)["status"] == "running"
    open_gate(server, "bystander")
    assert until_ended(server, running)["status"] == "succeeded"


def test_a_question_inside_an_expanded_node_is_parked_too(server: RealComfyUI):
    prompt = {"1": {"class_type": "ExpeditorTestExpands", "inputs": {"key": "inside"}}, "8": shows(["1", 0])}
    job_id = parked(server, prompt)
    until_ended(server, submit(server, quick())["id"])
    (wait,) = pending(server, job_id)
    assert answer(server, message="from inside", node_id=wait["node_id"], prompt_id=job_id) == 200
    assert until_ended(server, job_id)["status"] == "succeeded"
    assert (shown(server, job_id), runs(server, "inside")) == (["from inside"], 1)


def test_answers_are_refused_by_what_was_asked(server: RealComfyUI):
    job_id = parked(server, asking("too-much"))
    (wait,) = pending(server, job_id)
    assert answer(server, message="x" * (wait["max_bytes"] + 1), node_id="7", prompt_id=job_id) == 413
    assert pending(server, job_id) == [wait]
    assert server.post(f"/expeditor/jobs/{job_id}/cancel", json={}).status_code == 200


def test_many_parks_and_resumes_leave_nothing_behind(server: RealComfyUI):
    job_ids = [submit(server, asking("many", label=str(number)))["id"] for number in range(25)]
    for job_id in job_ids:
        until_status(server, job_id, "waiting", deadline_s=60)
    kept = server.get("/expeditor/health").json()["parking"]
    assert (kept["state"], kept["kept_prompts"]) == ("on", 25)
    assert server.get("/expeditor/queue").json()["parked"] == 25
    for number, job_id in enumerate(job_ids):
        if number % 5:
            assert answer(server, message="on", node_id="7", prompt_id=job_id) == 200
        else:
            assert server.post(f"/expeditor/jobs/{job_id}/cancel", json={}).status_code == 200
    ends = {until_ended(server, job_id, deadline_s=60)["status"] for job_id in job_ids}
    assert ends == {"succeeded", "canceled"}
    assert server.get("/expeditor/health").json()["parking"] == {"state": "on", "kept_prompts": 0, "kept_bytes": 0}
    assert server.get("/expeditor/messages/pending").json() == {"pending": []}
    assert runs(server, "many") == 1
