"""JobInfo and SetJobMetadata in a real ComfyUI: what they say, that no cache answers for another job, and without our queue."""

from __future__ import annotations

import json

import pytest

from tests.host.asking_client import answer, asking, parked, runs
from tests.host.jobs_client import job as job_of
from tests.host.jobs_client import submit, until_ended
from tests.host.stock_walk import TEST_NODES
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

WAIT = {"label": "?", "timeout_s": 60, "default_message": "", "on_timeout": "fail"}


def info_prompt(**after):
    prompt = {"1": {"class_type": "JobInfo", "inputs": after}}
    for slot, name in enumerate(("id", "priority", "attempt", "principal", "metadata")):
        prompt[name] = {"class_type": "PreviewAny", "inputs": {"source": ["1", slot]}}
    return prompt


def tag_prompt(key="stage", value="done", number=1.5):
    return {
        "0": {"class_type": "PrimitiveFloat", "inputs": {"value": number}},
        "1": {"class_type": "SetJobMetadata", "inputs": {"key": key, "value": value, "anything": ["0", 0]}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }


def shown(server, job_id):
    outputs = server.get(f"/history/{job_id}").json()[job_id]["outputs"]
    return {node: output["text"][0] for node, output in outputs.items() if "text" in output}


def run(server, prompt, **fields):
    job_id = submit(server, prompt, **fields)["id"]
    job = until_ended(server, job_id)
    assert job["status"] == "succeeded", job
    return job, shown(server, job_id)


def test_a_job_hears_what_is_stored_of_it(expeditor_server):
    given = {"project": "heron é", "n": "1"}
    job, told = run(expeditor_server, info_prompt(), priority=8, client_id="ann", metadata=given)
    assert (told["id"], told["priority"], told["attempt"]) == (job["id"], "8", "1")
    assert told["principal"] == job["principal"] == "ann"
    assert json.loads(told["metadata"]) == given


def test_no_job_gets_the_answer_of_another(expeditor_server):
    jobs = [run(expeditor_server, info_prompt(), priority=priority) for priority in (3, 5)]
    assert [told["id"] for _, told in jobs] == [job["id"] for job, _ in jobs]
    assert [told["priority"] for _, told in jobs] == ["3", "5"]


def test_metadata_is_there_while_the_job_runs_and_afterwards(expeditor_server):
    prompt = {
        **tag_prompt(value="half way"),
        "3": {"class_type": "WaitForMessage", "inputs": {**WAIT, "after": ["1", 0]}},
        "4": {"class_type": "PreviewAny", "inputs": {"source": ["3", 0]}},
    }
    job_id = submit(expeditor_server, prompt, metadata={"user": "ann"})["id"]

    def stage():
        return expeditor_server.get(f"/expeditor/jobs/{job_id}").json()["metadata"].get("stage")

    wait_until(lambda: stage() == "half way", what="the metadata of a job that runs")
    wait_until(
        lambda: expeditor_server.post("/expeditor/messages", data={"node_id": "3", "message": "on"}).status_code == 200,
        what="a wait that can be answered",
    )
    assert until_ended(expeditor_server, job_id)["metadata"] == {"user": "ann", "stage": "half way"}
    found = expeditor_server.get("/expeditor/jobs", params={"metadata.stage": "half way"}).json()["jobs"]
    assert [job["id"] for job in found] == [job_id]


def test_the_second_job_sets_its_own_though_all_else_is_cached_and_its_input_passes_through(expeditor_server):
    for _ in range(2):
        job, told = run(expeditor_server, tag_prompt(value="same", number=2.5))
        assert job["metadata"] == {"stage": "same"}
        assert told["2"] == "2.5"


def test_a_job_that_looks_after_it_was_set_sees_it(expeditor_server):
    prompt = {
        **info_prompt(after=["9", 0]),
        "9": {"class_type": "SetJobMetadata", "inputs": {"key": "k", "value": "v"}},
    }
    _, told = run(expeditor_server, prompt)
    assert json.loads(told["metadata"]) == {"k": "v"}


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [("", "v", "1 to 256 characters"), ("k" * 257, "v", "has 257"), ("k", "v" * 257, "at most 256 characters")],
)
def test_what_metadata_may_not_be_fails_once_with_the_reason(expeditor_server, key, value, complaint):
    job = until_ended(expeditor_server, submit(expeditor_server, tag_prompt(key, value))["id"])
    assert (job["status"], job["cause"], job["attempt"], job["metadata"]) == ("failed", "NODE_ERROR", 1, {})
    assert complaint in job["error"]["message"]


def test_a_seventeenth_key_is_refused(expeditor_server):
    full = {f"k{i}": "v" for i in range(16)}
    job = until_ended(expeditor_server, submit(expeditor_server, tag_prompt(), metadata=full)["id"])
    assert (job["status"], job["metadata"]) == ("failed", full)
    assert "at most 16 pairs" in job["error"]["message"]


def test_the_next_attempt_knows_its_number_and_what_the_first_one_set():
    """A node runs out of memory once: the run is repeated at once, and what hangs on the attempt is asked again."""
    with RealComfyUI(packs=[TEST_NODES]) as server:
        fails = {"class_type": "ExpeditorTestOutOfMemory", "inputs": {"times": 1, "key": "info", "after": ["1", 2]}}
        tagged = {"class_type": "SetJobMetadata", "inputs": {"key": "seen", "value": "1", "anything": ["1", 2]}}
        job, told = run(server, {**info_prompt(), "oom": fails, "tag": tagged})
        assert (job["attempt"], told["attempt"]) == (2, "2")
        assert job["metadata"] == {"seen": "1"}


@pytest.mark.parametrize("off", ["EXPEDITOR_HOOKS_QUEUE", "EXPEDITOR_ENABLED"])
def test_without_our_queue_the_nodes_still_work(off):
    with RealComfyUI(env={off: "false"}) as server:
        for prompt in (info_prompt(), tag_prompt()):
            job_id = server.post("/prompt", json={"prompt": prompt}).json()["prompt_id"]
            wait_until(lambda job_id=job_id: job_id in server.get("/history").json(), what="the end of a stock run")
            told = shown(server, job_id)
            if "id" in told:
                assert told == {
                    "id": job_id,
                    "priority": "3",
                    "attempt": "1",
                    "principal": "anonymous",
                    "metadata": "{}",
                }
            else:
                assert told == {"2": "1.5"}
        assert "it is not kept" in server.log_text()


def test_a_parked_job_goes_on_without_asking_again():
    """The attempt stays the same while people are waited for, so what hangs on it comes from the cache."""
    with RealComfyUI(packs=[TEST_NODES], env={"EXPEDITOR_PARK_AFTER_S": "0"}) as server:
        prompt = {**asking("told"), "20": {"class_type": "JobInfo", "inputs": {}}}
        prompt["1"]["inputs"]["salt"] = ["20", 2]
        set_pair = {"class_type": "SetJobMetadata", "inputs": {"key": "seen", "value": "1", "anything": ["1", 0]}}
        job_id = parked(server, {**prompt, "21": set_pair})
        wait_until(lambda: job_of(server, job_id)["metadata"] == {"seen": "1"}, what="metadata while parked")
        answer(server, message="on", node_id="7", prompt_id=job_id)
        ended = until_ended(server, job_id)
        assert (ended["status"], ended["attempt"], ended["metadata"]) == ("succeeded", 1, {"seen": "1"})
        assert runs(server, "told") == 1
