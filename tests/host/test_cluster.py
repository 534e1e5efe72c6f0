"""`EXPEDITOR_STORE=redis://...` and nothing else makes ComfyUIs members of one queue: both run, either is asked, one may die or be
replaced, and what one made is found at the other.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from expeditor.jobs.instances import name_from
from tests.host.jobs_client import job, submit, until_ended, until_status
from tests.support.cluster import RealCluster, cluster_of_module
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

LEASE_S = "3"
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[RealCluster]:
    """Two bare instances; only the lease is shorter, so that nobody waits half a minute for a dead one's job."""
    yield from cluster_of_module(request, bare=True, shared_env={"EXPEDITOR_LEASE_S": LEASE_S})


def sleepy(seconds: float, salt: int) -> dict[str, Any]:
    """A prompt that takes so long and is in no cache."""
    return {"1": {"class_type": "ExpeditorTestSleepy", "inputs": {"seconds": seconds, "steps": 4, "salt": salt}}}


def picture(color: int, prefix: str = "cluster") -> dict[str, Any]:
    """A prompt that saves a small picture."""
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": color},
        },
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def workers(server: RealComfyUI) -> dict[str, dict[str, Any]]:
    """All instances by name, as this one tells."""
    return {each["name"]: each for each in server.get("/expeditor/workers").json()["workers"]}


def name_of(server: RealComfyUI) -> str:
    """What an instance is called that was given no name."""
    return name_from(f"{socket.gethostname()}-{server.port}")


def ends(server: RealComfyUI, ids: list[str]) -> list[dict[str, Any]]:
    return [until_ended(server, each, DEADLINE_S) for each in ids]


def test_two_that_know_one_address_are_members_of_one_queue(cluster: RealCluster) -> None:
    names = {name_of(cluster.a), name_of(cluster.b)}
    for server in (cluster.a, cluster.b):
        listed = wait_until(
            lambda server=server: names <= set(workers(server)) and workers(server), what="both to be listed"
        )
        assert {each["state"] for each in listed.values()} == {"active"}
        assert {each["url"] for each in listed.values()} == {cluster.a.url, cluster.b.url}


def test_jobs_of_one_run_on_both_and_each_once(cluster: RealCluster) -> None:
    ids = [submit(cluster.a, sleepy(0.4, salt))["id"] for salt in range(12)]
    jobs = ends(cluster.b, ids)
    assert {each["status"] for each in jobs} == {"succeeded"}
    assert {each["attempt"] for each in jobs} == {1}
    assert {each["instance"] for each in jobs} == {name_of(cluster.a), name_of(cluster.b)}
    assert {each["origin"] for each in jobs} == {name_of(cluster.a)}


def test_a_picture_is_had_from_either_wherever_it_was_made(cluster: RealCluster) -> None:
    held = until_status(cluster.a, submit(cluster.a, sleepy(3.0, 50))["id"], "running")
    busy, free = (cluster.a, cluster.b) if held["instance"] == name_of(cluster.a) else (cluster.b, cluster.a)
    for each in ends(free, [submit(busy, picture(color))["id"] for color in (1, 2)]):
        assert (each["status"], each["origin"], each["instance"]) == ("succeeded", name_of(busy), name_of(free))
        pictures = {server.get(f"/expeditor/jobs/{each['id']}/outputs/0").content for server in (busy, free)}
        assert len(pictures) == 1
        assert pictures.pop().startswith(b"\x89PNG")


def run_on_both(cluster: RealCluster, first_salt: int) -> tuple[str, str]:
    """Two jobs of three seconds that run at this moment: the first on A, the second on B."""
    ids = [submit(cluster.a, sleepy(3.0, first_salt + number))["id"] for number in range(2)]

    def places() -> dict[str, str] | None:
        jobs = [job(cluster.a, each) for each in ids]
        on = {each["instance"]: each["id"] for each in jobs if each["status"] == "running"}
        return on if len(on) == 2 else None

    found = wait_until(places, what="both to run")
    assert found is not None
    return found[name_of(cluster.a)], found[name_of(cluster.b)]


def test_what_a_killed_one_ran_is_finished_by_the_other(cluster: RealCluster) -> None:
    kept, victim = run_on_both(cluster, 100)
    cluster.b.kill()
    ended = until_ended(cluster.a, victim, DEADLINE_S)
    assert (ended["status"], ended["attempt"], ended["instance"]) == ("succeeded", 2, name_of(cluster.a))
    assert ended["attempts"][0]["cause"] == "LEASE_LOST"
    assert until_ended(cluster.a, kept)["attempt"] == 1
    cluster.b.start()
    _, again = run_on_both(cluster, 200)
    assert until_ended(cluster.b, again)["status"] == "succeeded"


def test_one_is_replaced_while_the_queue_goes_on(cluster: RealCluster) -> None:
    mine = name_of(cluster.b)
    ids = [submit(cluster.a, sleepy(0.5, salt))["id"] for salt in range(300, 310)]
    assert cluster.a.post(f"/expeditor/workers/{mine}/drain").ok
    wait_until(
        lambda: workers(cluster.a)[mine]["state"] == "draining" and not workers(cluster.a)[mine]["running"],
        what="a drain",
    )
    assert cluster.b.post("/expeditor/submit", json={"prompt": sleepy(0.1, 1)}).status_code == 503
    cluster.b.terminate()
    cluster.b.start()
    wait_until(lambda: workers(cluster.a)[mine]["state"] == "active", DEADLINE_S, what="the new one to be active")
    ids += [submit(server, sleepy(0.4, salt))["id"] for salt, server in enumerate([cluster.a, cluster.b] * 3, 400)]
    jobs = ends(cluster.b, ids)
    assert {(each["status"], each["attempt"]) for each in jobs} == {("succeeded", 1)}
    assert mine in {each["instance"] for each in jobs[-6:]}


def test_a_planned_stop_gives_the_job_back_at_once_and_suspects_nobody(cluster: RealCluster) -> None:
    _, victim = run_on_both(cluster, 500)
    cluster.b.terminate()
    ended = until_ended(cluster.a, victim, DEADLINE_S)
    assert (ended["status"], ended["attempt"], ended["instance"]) == ("succeeded", 2, name_of(cluster.a))
    assert ended["attempts"][0]["cause"] == "INTERRUPTED"
