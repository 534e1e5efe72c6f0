"""Two real ComfyUIs on one real Redis: who is there, what is asked of each, pools, roles, and a node that only one has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.host.jobs_client import job, quick, submit, until_ended
from tests.support.cluster import RealCluster, cluster_of_module
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

ONLY_B = {"1": {"class_type": "ExpeditorTestOnlyHere", "inputs": {"salt": 1}}}


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[RealCluster]:
    b = {"TEST_NODES_ONLY_HERE": "1", "EXPEDITOR_POOLS": '["default", "gpu"]'}
    yield from cluster_of_module(request, count=2, env=({}, b))


def workers(server: RealComfyUI) -> dict[str, dict[str, Any]]:
    answer = server.get("/expeditor/workers")
    assert answer.status_code == 200, answer.text
    return {each["name"]: each for each in answer.json()["workers"]}


def ask(server: RealComfyUI, path: str) -> None:
    answer = server.post(f"/expeditor/workers/{path}")
    assert answer.status_code == 200, answer.text


def until_state(server: RealComfyUI, **states: str) -> None:
    wait_until(lambda: {name: workers(server)[name]["state"] for name in states} == states, what=f"states {states}")


def runners(server: RealComfyUI, job_ids: list[str]) -> set[str]:
    return {until_ended(server, job_id)["instance"] for job_id in job_ids}


@pytest.fixture(autouse=True)
def all_active(cluster: RealCluster) -> Iterator[None]:
    yield
    ask(cluster.a, "resume")
    until_state(cluster.a, gpu1="active", gpu2="active")


def test_each_lists_both_with_what_they_are(cluster):
    for here, server in zip(cluster.names, cluster.instances, strict=True):
        assert server.get("/expeditor/health").json()["instance"] == here
        there = workers(server)
        assert list(there) == ["gpu1", "gpu2"]
        assert there["gpu2"]["url"] == cluster.b.url
        assert (there["gpu1"]["pools"], there["gpu2"]["pools"]) == (["default"], ["default", "gpu"])
        wait_until(lambda server=server: all(each["devices"] for each in workers(server).values()))
    line = 'expeditor_workers{state="active"} 2.0'
    wait_until(lambda: line in cluster.a.get("/expeditor/metrics").text)


def test_a_drained_instance_refuses_and_the_other_goes_on(cluster):
    ask(cluster.a, "gpu2/drain")
    until_state(cluster.a, gpu2="draining")
    refused = cluster.b.post("/expeditor/submit", json={"prompt": quick(1)})
    assert (refused.status_code, refused.reason) == (503, "DRAINING")
    job_ids = [submit(cluster.a, quick(salt))["id"] for salt in range(2, 6)]
    assert runners(cluster.a, job_ids) == {"gpu1"}


def test_a_paused_instance_accepts_and_the_other_runs_it(cluster):
    ask(cluster.b, "gpu1/pause")
    until_state(cluster.b, gpu1="paused")
    job_ids = [submit(cluster.a, quick(salt))["id"] for salt in range(10, 14)]
    assert runners(cluster.b, job_ids) == {"gpu2"}
    assert {job(cluster.b, job_id)["origin"] for job_id in job_ids} == {"gpu1"}


def test_all_are_paused_and_a_waiting_job_says_so(cluster):
    ask(cluster.a, "pause")
    until_state(cluster.a, gpu1="paused", gpu2="paused")
    job_id = submit(cluster.a, quick(20))["id"]
    wait_until(lambda: job(cluster.a, job_id)["waiting"]["reason"] == "no_instance")
    assert job(cluster.a, job_id)["waiting"]["message"] == "Nobody starts it now: gpu1 is paused, gpu2 is paused."
    ask(cluster.b, "resume")
    assert until_ended(cluster.a, job_id)["status"] == "succeeded"


def test_a_job_runs_where_its_pool_is_served(cluster):
    job_ids = [submit(cluster.a, quick(salt), pool="gpu")["id"] for salt in range(30, 34)]
    assert runners(cluster.a, job_ids) == {"gpu2"}
    refused = cluster.a.post("/expeditor/submit", json={"prompt": quick(34), "pool": "none-has-it"})
    assert (refused.status_code, refused.json()["error"]["details"]["pools"]) == (422, ["default", "gpu"])


def test_a_node_that_only_the_other_has_is_taken_and_run_there(cluster):
    job_ids = [submit(cluster.a, {"1": {**ONLY_B["1"], "inputs": {"salt": salt}}})["id"] for salt in range(3)]
    ended = [until_ended(cluster.a, job_id) for job_id in job_ids]
    assert {(each["status"], each["instance"], each["attempt"]) for each in ended} == {("succeeded", "gpu2", 1)}


def test_batches_and_the_contract_take_it_too(cluster):
    sweep = {"prompt": ONLY_B, "sweep": {"product": {"1.salt": [100, 101, 102]}}}
    batch = cluster.a.post("/expeditor/batches", json=sweep)
    assert batch.status_code == 201, batch.text
    made = cluster.a.post("/api/v2/jobs", json={"workflow": ONLY_B, "metadata": {"expeditor.pool": "gpu"}})
    assert made.status_code in (200, 201, 202), made.text
    assert runners(cluster.a, [*batch.json()["job_ids"], made.json()["id"]]) == {"gpu2"}


def test_what_the_other_says_of_its_node_is_answered_at_once(cluster):
    wrong = {"1": {"class_type": "ExpeditorTestOnlyHere", "inputs": {"salt": -1}}}
    for path in ("submit", "validate"):
        refused = cluster.a.post(f"/expeditor/{path}", json={"prompt": wrong})
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "INPUT_INVALID"), refused.text
    nowhere = {"1": {"class_type": "ExpeditorTestNowhere", "inputs": {}}}
    refused = cluster.a.post("/expeditor/submit", json={"prompt": nowhere})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "UNKNOWN_NODE")
    assert "ExpeditorTestNowhere" in refused.json()["error"]["message"]


def test_a_misfit_that_is_claimed_goes_to_the_other_without_an_attempt(cluster):
    ask(cluster.a, "gpu2/pause")
    until_state(cluster.a, gpu2="paused")
    misfit = submit(cluster.b, ONLY_B)["id"]
    behind = submit(cluster.a, quick(40))["id"]
    assert until_ended(cluster.a, behind)["instance"] == "gpu1"
    waits = job(cluster.a, misfit)
    assert (waits["status"], waits["attempts"], waits["position"]) == ("queued", [], 1)
    why = "Nobody starts it now: gpu2 is paused."  # as gpu1 heard with its last heartbeat
    wait_until(lambda: job(cluster.a, misfit)["waiting"]["message"] == why, what=why)
    ask(cluster.a, "gpu2/resume")
    assert until_ended(cluster.b, misfit)["instance"] == "gpu2"
