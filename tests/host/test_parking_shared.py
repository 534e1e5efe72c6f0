"""Parked prompts on a queue that two real ComfyUIs share: asked by one, answered at the other, gone on with where that is best."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.host.asking_client import answer, asking, listed, parked, pending, quick, runs, shown, shows, wait_node
from tests.host.jobs_client import job, submit, until_ended, until_status
from tests.host.waiting_nodes import picking
from tests.support.cluster import RealCluster, cluster_of_module
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

A, B = "gpu1", "gpu2"
SETTINGS = {"EXPEDITOR_PARK_AFTER_S": "0", "EXPEDITOR_LEASE_S": "3"}


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[RealCluster]:
    yield from cluster_of_module(request, shared_env=SETTINGS)


@pytest.fixture
def parked_at_b(cluster: RealCluster) -> Callable[..., str]:
    """Submits to A what B parks: A claims nothing meanwhile."""

    def park(prompt: dict[str, Any], **fields: Any) -> str:
        with_a_paused(cluster, paused=True)
        job_id = parked(cluster.a, prompt, **fields)
        with_a_paused(cluster, paused=False)
        assert job(cluster.a, job_id)["instance"] == B
        return job_id

    return park


def with_a_paused(cluster: RealCluster, *, paused: bool) -> None:
    assert cluster.b.post(f"/expeditor/workers/{A}/{'pause' if paused else 'resume'}").ok

    def told() -> bool:
        found = cluster.a.get("/expeditor/workers").json()["workers"]
        return {each["name"]: each["state"] for each in found}[A] == ("paused" if paused else "active")

    wait_until(told, what="A to hear it")


def test_parked_at_b_and_answered_at_a_it_goes_on_at_b_from_what_was_made(
    cluster: RealCluster, parked_at_b: Callable[..., str]
):
    job_id = parked_at_b(asking("kept"))
    for server in (cluster.a, cluster.b):
        assert server.get("/expeditor/health").json()["parking"]["state"] == "on"
        assert [wait["node_id"] for wait in pending(server, job_id)] == ["7"]
    assert (listed(cluster.a)["pending"], listed(cluster.a)["running"], listed(cluster.b)["pending"]) == (
        [job_id],
        [],
        [],
    )
    other = submit(cluster.b, quick())["id"]
    assert until_ended(cluster.a, other)["status"] == "succeeded"
    assert answer(cluster.a, message="on é", node_id="7", prompt_id=job_id) == 200
    for server in (cluster.a, cluster.b):
        assert answer(server, message="late", node_id="7", prompt_id=job_id) == 410
    ended = until_ended(cluster.a, job_id)
    assert (ended["status"], ended["attempt"], ended["instance"]) == ("succeeded", 1, B)
    assert shown(cluster.a, job_id) == ["on é"]
    assert (runs(cluster.a, "kept"), runs(cluster.b, "kept")) == (0, 1)
    assert listed(cluster.a) == {"running": [], "pending": []}
    assert cluster.b.get("/expeditor/health").json()["parking"]["kept_prompts"] == 0


def test_b_dies_while_it_is_parked_and_a_goes_on_with_the_answer(cluster: RealCluster, parked_at_b: Callable[..., str]):
    job_id = parked_at_b(asking("orphan"))
    cluster.b.kill()
    (wait,) = pending(cluster.a, job_id)
    assert answer(cluster.a, message="after", node_id="7", token=wait["token"]) == 200
    ended = until_ended(cluster.a, job_id)
    assert (ended["status"], ended["attempt"], ended["instance"]) == ("succeeded", 1, A)
    assert (shown(cluster.a, job_id), runs(cluster.a, "orphan")) == (["after"], 1)
    cluster.b.start()


def kept(server: RealComfyUI) -> int:
    return server.get("/expeditor/health").json()["parking"]["kept_prompts"]


def test_of_two_questions_one_is_answered_once_and_the_other_is_asked_on_by_whoever_goes_on(
    cluster: RealCluster, parked_at_b: Callable[..., str]
):
    prompt = {**asking("two"), "17": wait_node(["1", 0], label="And?"), "18": shows(["17", 0])}
    job_id = parked_at_b(prompt)
    before = {wait["node_id"]: wait for wait in pending(cluster.a, job_id)}
    assert set(before) == {"7", "17"}
    cluster.b.kill()
    assert answer(cluster.a, message="first", node_id="7", prompt_id=job_id) == 200
    wait_until(lambda: job(cluster.a, job_id)["instance"] == A, what="A to go on")
    until_status(cluster.a, job_id, "waiting")
    cluster.b.start()
    for server in (cluster.a, cluster.b):
        assert pending(server, job_id) == [before["17"]]
    assert answer(cluster.b, message="second", node_id="17", prompt_id=job_id) == 200
    ended = until_ended(cluster.a, job_id)
    assert (ended["status"], ended["attempt"], ended["instance"]) == ("succeeded", 1, A)
    assert (shown(cluster.a, job_id), shown(cluster.a, job_id, "18")) == (["first"], ["second"])
    assert (runs(cluster.a, "two"), runs(cluster.b, "two")) == (1, 1)


def test_its_pictures_are_seen_where_it_was_submitted_while_who_parked_it_is_dead(
    cluster: RealCluster, parked_at_b: Callable[..., str]
):
    job_id = parked_at_b(picking("shared/x"))
    (wait,) = pending(cluster.a, job_id)
    seen = [cluster.a.get(image["url"]).content for image in wait["images"]]
    assert len(set(seen)) == 4
    wait_until(lambda: list(cluster.a.base.rglob(f"{wait['token']}/3.*")), what="the copies")
    cluster.b.kill()
    assert [cluster.a.get(image["url"]).content for image in wait["images"]] == seen
    assert answer(cluster.a, message="3,0", node_id="7", token=wait["token"]) == 200
    assert until_ended(cluster.a, job_id)["status"] == "succeeded"
    assert shown(cluster.a, job_id, "21") == ["3,0"]
    wait_until(lambda: not list(cluster.a.base.rglob(wait["token"])), what="no more pictures")
    cluster.b.start()


def test_a_starts_anew_while_b_keeps_its_job(cluster: RealCluster, parked_at_b: Callable[..., str]):
    job_id = parked_at_b(asking("again"))
    before = pending(cluster.a, job_id)
    cluster.a.restart()
    assert (listed(cluster.a), pending(cluster.a, job_id)) == ({"running": [], "pending": [job_id]}, before)
    assert answer(cluster.b, message="on", node_id="7", prompt_id=job_id) == 200
    assert until_ended(cluster.a, job_id)["instance"] == B
    assert (shown(cluster.a, job_id), runs(cluster.b, "again")) == (["on"], 1)
    assert listed(cluster.a) == {"running": [], "pending": []}


def test_a_busy_b_is_not_waited_for_and_lets_go_of_what_it_kept(cluster: RealCluster, parked_at_b: Callable[..., str]):
    job_id = parked_at_b(asking("busy"))
    assert kept(cluster.b) == 1
    sleepy = {"class_type": "ExpeditorTestSleepy", "inputs": {"seconds": 60.0, "steps": 600, "salt": 1}}
    with_a_paused(cluster, paused=True)
    long = submit(cluster.b, {"1": sleepy})["id"]
    until_status(cluster.b, long, "running")
    with_a_paused(cluster, paused=False)
    assert answer(cluster.b, message="on", node_id="7", prompt_id=job_id) == 200
    ended = until_ended(cluster.b, job_id)
    assert (ended["status"], ended["attempt"], ended["instance"]) == ("succeeded", 1, A)
    assert (runs(cluster.a, "busy"), kept(cluster.b)) == (1, 0)
    assert cluster.a.post(f"/expeditor/jobs/{long}/cancel").ok
    until_ended(cluster.b, long)


@pytest.mark.parametrize("way", ["api", "page"])
def test_it_is_cancelled_from_either_side(cluster: RealCluster, parked_at_b: Callable[..., str], way: str):
    job_id = parked_at_b(asking(f"cancelled-{way}"))
    if way == "api":
        assert cluster.b.post(f"/expeditor/jobs/{job_id}/cancel").ok
    else:
        assert cluster.a.post("/queue", json={"delete": [job_id]}).ok
    assert until_ended(cluster.a, job_id)["status"] == "canceled"
    for server in (cluster.a, cluster.b):
        wait_until(lambda server=server: pending(server, job_id) == [] and kept(server) == 0, what="nothing of it")
        assert listed(server) == {"running": [], "pending": []}
        assert answer(server, message="late", node_id="7", prompt_id=job_id) == 410


def test_a_dies_while_b_keeps_its_job_and_shows_it_when_it_is_back(
    cluster: RealCluster, parked_at_b: Callable[..., str]
):
    job_id = parked_at_b(asking("home"))
    cluster.a.kill()
    assert answer(cluster.b, message="on", node_id="7", prompt_id=job_id) == 200
    assert until_ended(cluster.b, job_id)["status"] == "succeeded"
    cluster.a.start()
    assert (shown(cluster.a, job_id), runs(cluster.b, "home")) == (["on"], 1)
    assert (listed(cluster.a), pending(cluster.a, job_id)) == ({"running": [], "pending": []}, [])
