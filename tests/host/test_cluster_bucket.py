"""Two real ComfyUIs on one Redis whose results go home by way of a bucket on a real server that speaks S3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.host.jobs_client import submit, until_ended
from tests.support.cluster import RealCluster, cluster_of_module
from tests.support.comfy_server import RealComfyUI
from tests.support.s3_server import BUCKET, KEYS, S3Server
from tests.support.waiting import wait_until

WAIT_S = 60.0
ROLES = (["api"], ["worker", "api"])


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture(scope="module")
def by_bucket(request: pytest.FixtureRequest, server: S3Server) -> Iterator[RealCluster]:
    env = server.environment | {"EXPEDITOR_RESULTS": f"s3://{BUCKET}/of/mine"}
    yield from cluster_of_module(request, roles=ROLES, shared_env=env)


def saved_and_shown(prefix: str) -> dict[str, Any]:
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "batch_size": 1, "color": 255}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }


def images(server: RealComfyUI, job_id: str) -> dict[str, dict[str, str]]:
    """By node, as ComfyUI's history names them."""
    entry = wait_until(lambda: server.get(f"/history/{job_id}").json().get(job_id), what="the history of the origin")
    return {node: told["images"][0] for node, told in entry["outputs"].items()}


def test_what_went_by_the_bucket_is_seen_as_ever(by_bucket: RealCluster, server: S3Server) -> None:
    job = until_ended(by_bucket.a, submit(by_bucket.a, saved_and_shown("plain"))["id"], WAIT_S)
    assert job["status"] == "succeeded", by_bucket.logs()
    for image in images(by_bucket.a, job["id"]).values():
        assert image["subfolder"] == "gpu2"
        assert by_bucket.a.get("/view", params=image).status_code == 200
    assert server.objects() == []
    assert by_bucket.a.get("/expeditor/health").json()["fault"] is None
    assert not any(secret in by_bucket.logs(10**7) for secret in KEYS.values() if secret.startswith("a-"))


def test_an_origin_that_comes_back_finds_what_a_dead_maker_left(by_bucket: RealCluster, server: S3Server) -> None:
    assert by_bucket.a.post("/expeditor/queue/pause").status_code == 200
    job_id = submit(by_bucket.a, saved_and_shown("late"))["id"]
    by_bucket.a.kill()
    assert by_bucket.b.post("/expeditor/queue/resume").status_code == 200
    assert until_ended(by_bucket.b, job_id, WAIT_S)["status"] == "succeeded"
    wait_until(lambda: sum("/letters/gpu1/" in key for key in server.objects()) == 2, WAIT_S, what="two letters")
    by_bucket.b.kill()
    by_bucket.a.start()
    wait_until(lambda: server.objects() == [], WAIT_S, what="an empty bucket")
    for image in images(by_bucket.a, job_id).values():
        assert image["subfolder"] == f"gpu2/{job_id}"
        assert by_bucket.a.get("/view", params=image).status_code == 200
