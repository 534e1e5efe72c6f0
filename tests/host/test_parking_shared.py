"""Parked prompts on a queue that two real ComfyUIs share: asked by one, answered at the other, gone on with where that is best."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.host.asking_client import answer, asking, listed, parked, pending, quick, runs, shown
from tests.host.jobs_client import job, submit, until_ended
from tests.support.cluster import RealCluster, cluster_of_module
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


def test_parked_at_b_and_answered_at_a_it_goes_on_at_b_from_what_was_made(cluster: RealCluster, parked_at_b: Any):
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


def test_b_dies_while_it_is_parked_and_a_goes_on_with_the_answer(cluster: RealCluster, parked_at_b: Any):
    job_id = parked_at_b(asking("orphan"))
    cluster.b.kill()
    (wait,) = pending(cluster.a, job_id)
    assert answer(cluster.a, message="after", node_id="7", token=wait["token"]) == 200
    ended = until_ended(cluster.a, job_id)
    assert (ended["status"], ended["attempt"], ended["instance"]) == ("succeeded", 1, A)
    assert (shown(cluster.a, job_id), runs(cluster.a, "orphan")) == (["after"], 1)
    cluster.b.start()
