"""Parked jobs of two real ComfyUIs that are killed in turn: every job ends with the answer that was taken, and none is asked twice."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

from tests.host.asking_client import asking, pending, shown
from tests.host.jobs_client import job, submit, until_ended
from tests.support.cluster import RealCluster
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

ROUNDS = 4
JOBS_A_ROUND = 3
ENV = {"EXPEDITOR_PARK_AFTER_S": "0", "EXPEDITOR_LEASE_S": "3"}
DEADLINE_S = 120.0


def taken(asked: RealComfyUI, job_id: str, message: str) -> bool:
    """Whether the question is answered by now: an answer of which only 503 was heard may have been stored, so the next says 410."""
    fields = {"message": message, "node_id": "7", "prompt_id": job_id}
    said = asked.post("/expeditor/messages", data=fields)
    assert said.status_code in (200, 410, 503), said.text
    return said.status_code != 503


def kept(server: RealComfyUI) -> int:
    return server.get("/expeditor/health").json()["parking"]["kept_prompts"]


def parked(cluster: RealCluster, rng: random.Random) -> list[str]:
    """A job for every answer of the test, submitted and parked anywhere."""
    ids = [
        submit(rng.choice(cluster.instances), asking(f"job-{number}"))["id"] for number in range(ROUNDS * JOBS_A_ROUND)
    ]

    def all_wait() -> bool:
        return {job(cluster.a, job_id)["status"] for job_id in ids} == {"waiting"}

    wait_until(all_wait, DEADLINE_S, what="all to be parked")
    return ids


def test_every_job_ends_with_the_answer_that_was_taken() -> None:
    rng = random.Random()
    with RealCluster(shared_env=ENV) as cluster, ThreadPoolExecutor(1) as starter:
        ids = parked(cluster, rng)
        for number in range(ROUNDS):
            victim, living = rng.sample(cluster.instances, 2)
            victim.kill()
            back = starter.submit(victim.start)
            for job_id in ids[number * JOBS_A_ROUND : (number + 1) * JOBS_A_ROUND]:
                wait_until(lambda job_id=job_id: taken(living, job_id, job_id), DEADLINE_S, what="an answer")  # noqa: B023 - at once
            back.result()
        for job_id in ids:
            ended = until_ended(cluster.a, job_id, DEADLINE_S)
            assert ended["status"] == "succeeded", ended
            home = cluster.a if ended["origin"] == "gpu1" else cluster.b
            assert shown(home, job_id) == [job_id]
        for server in cluster.instances:
            assert pending(server, *ids) == []
            assert kept(server) == 0
