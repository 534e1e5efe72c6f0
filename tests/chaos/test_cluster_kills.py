"""`kill -9` of real ComfyUIs that share a queue, in the middle of a job: all accepted jobs end, each once, wherever they were submitted.

The small story is three instances and one kill; `--full` kills each of them in turn, several times, while jobs come in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.host.jobs_client import job, submit
from tests.support.cluster import RealCluster, cluster_of_module
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

LEASE_S = 3
LONG_S = 120.0
ROUNDS = 6


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[RealCluster]:
    """Three instances."""
    yield from cluster_of_module(request, count=3, shared_env={"EXPEDITOR_LEASE_S": str(LEASE_S)})


def sleepy(salt: int, seconds: float = 0.3) -> dict[str, Any]:
    """A prompt that runs for so long, on whatever instance."""
    return {"1": {"class_type": "ExpeditorTestSleepy", "inputs": {"seconds": seconds, "steps": 1, "salt": salt}}}


def killed_at_work(victim: RealComfyUI, name: str, jobs: list[str], *, asked: RealComfyUI) -> str:
    """Kill an instance while it runs one of these jobs: which."""

    def running() -> str | None:
        shown = (job(asked, job_id) for job_id in jobs)
        return next((one["id"] for one in shown if one["status"] == "running" and one["instance"] == name), None)

    had = wait_until(running, LONG_S, 0.02, f"a job on {name}")
    victim.kill()
    return had


def all_ended(asked: RealComfyUI, jobs: list[str]) -> list[dict[str, Any]]:
    """These jobs, once all have ended, as one instance tells them."""

    def ended() -> list[dict[str, Any]] | None:
        found = [job(asked, job_id) for job_id in jobs]
        return found if all(one["status"] in ("succeeded", "failed", "canceled", "expired") for one in found) else None

    return wait_until(ended, LONG_S, 0.2, "the end of all jobs") or []


def assert_each_ran_once_to_its_end(jobs: list[dict[str, Any]]) -> None:
    """Whatever befell its attempts, each job has one that succeeded, its last."""
    for one in jobs:
        causes = [attempt["cause"] for attempt in one["attempts"]]
        assert one["status"] == "succeeded", one
        assert causes[-1] is None, one
        assert set(causes[:-1]) <= {"PROCESS_DIED", "LEASE_LOST"}, one


def test_what_a_killed_instance_had_runs_on_the_others_and_it_comes_back(cluster: RealCluster) -> None:
    jobs = [submit(cluster.instances[n % 3], sleepy(n, 1.0))["id"] for n in range(12)]
    had = killed_at_work(cluster.b, "gpu2", jobs, asked=cluster.a)
    jobs += [submit(cluster.instances[2 * (n % 2)], sleepy(100 + n))["id"] for n in range(4)]
    told = all_ended(cluster.a, jobs)
    assert_each_ran_once_to_its_end(told)
    died = {one["id"]: one for one in told if len(one["attempts"]) > 1}
    assert died.keys() == {had}, "only what it ran may have run twice"
    assert told == all_ended(cluster.c, jobs)

    cluster.b.start()
    assert [job(cluster.b, one["id"])["status"] for one in told] == ["succeeded"] * len(told)
    again = [submit(cluster.b, sleepy(200 + n))["id"] for n in range(3)]
    assert_each_ran_once_to_its_end(all_ended(cluster.b, again))


@pytest.mark.full
def test_each_instance_killed_again_and_again_loses_nothing(cluster: RealCluster) -> None:
    jobs: list[str] = []
    for kill in range(ROUNDS):
        place = kill % 3
        others = [one for number, one in enumerate(cluster.instances) if number != place]
        jobs += [submit(cluster.instances[n % 3], sleepy(1000 * kill + n, 0.5))["id"] for n in range(20)]
        killed_at_work(cluster.instances[place], cluster.names[place], jobs[-40:], asked=others[0])
        jobs += [submit(others[n % 2], sleepy(1000 * kill + 500 + n))["id"] for n in range(5)]
        cluster.instances[place].start()
    told = all_ended(cluster.a, jobs)
    assert_each_ran_once_to_its_end(told)
    assert len(told) == ROUNDS * 25
