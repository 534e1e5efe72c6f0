"""Two real ComfyUIs on one Redis: what the second makes is at home on the first, and what it reads comes from there."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from PIL import Image

from tests.host.jobs_client import submit, until_ended
from tests.support.cluster import RealCluster, cluster_of_module
from tests.support.waiting import wait_until

WAIT_S = 60.0


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[RealCluster]:
    """`gpu1` accepts and runs nothing, so that every job of it runs on `gpu2`."""
    yield from cluster_of_module(request, count=2, roles=(["api"], ["api", "worker"]))


def picture(color: int, node: str = "SaveImage", prefix: str = "made") -> dict[str, Any]:
    inputs = {"images": ["1", 0]} | ({"filename_prefix": prefix} if node == "SaveImage" else {})
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "batch_size": 1, "color": color}},
        "2": {"class_type": node, "inputs": inputs},
    }


def pixel(content: bytes) -> tuple[int, int, int]:
    found = Image.open(io.BytesIO(content)).convert("RGB").getpixel((3, 3))
    assert isinstance(found, tuple)
    return found


def done(cluster: RealCluster, prompt: dict[str, Any]) -> dict[str, Any]:
    job = until_ended(cluster.a, submit(cluster.a, prompt)["id"], WAIT_S)
    assert job["status"] == "succeeded", (job, cluster.logs())
    return job


def entry_of(cluster: RealCluster, job_id: str) -> dict[str, Any]:
    return wait_until(lambda: cluster.a.get(f"/history/{job_id}").json().get(job_id), what="the history of the origin")


@pytest.mark.parametrize("node", ["SaveImage", "PreviewImage"])
def test_a_picture_is_seen_where_it_was_asked_for(cluster: RealCluster, node: str) -> None:
    job = done(cluster, picture(0x00FF00, node))
    image = entry_of(cluster, job["id"])["outputs"]["2"]["images"][0]
    assert image["subfolder"] == "gpu2"
    shown = cluster.a.get("/view", params=image)
    assert shown.status_code == 200
    assert pixel(shown.content) == (0, 255, 0)
    for each in cluster.instances:
        content = each.get(f"/expeditor/jobs/{job['id']}/outputs/0")
        assert content.status_code == 200, content.text
        assert content.content == shown.content
        (output,) = each.get(f"/expeditor/jobs/{job['id']}").json()["outputs"]
        views = output["view_url"]
        assert (views is None) == (each is not cluster.a), "ComfyUI's own route knows its own files alone"
        assert views is None or requests.get(views, timeout=30).content == shown.content
        part = each.get(f"/expeditor/jobs/{job['id']}/outputs/0", headers={"Range": "bytes=1-3"})
        assert (part.status_code, part.content) == (206, b"PNG")


def test_a_file_that_is_uploaded_here_is_read_there(cluster: RealCluster) -> None:
    raw = io.BytesIO()
    Image.new("RGB", (16, 16), (9, 8, 7)).save(raw, "PNG")
    uploaded = cluster.a.post("/upload/image", files={"image": ("mine.png", raw.getvalue(), "image/png")})
    assert uploaded.status_code == 200
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "mine.png"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "read"}},
    }
    job = done(cluster, prompt)
    assert pixel(cluster.a.get(f"/expeditor/jobs/{job['id']}/outputs/0").content) == (9, 8, 7)
    assert not (cluster.b.base / "input/mine.png").exists()
    shown = entry_of(cluster, job["id"])["prompt"][2]
    assert shown["1"]["inputs"]["image"] == "mine.png", "the prompt is told as it was sent"


def test_a_batch_is_fetched_as_one_file_from_any(cluster: RealCluster) -> None:
    jobs = [{"prompt": picture(color, prefix="batch")} for color in (1, 2)]
    made = cluster.a.post("/expeditor/batches", json={"jobs": jobs})
    assert made.status_code == 201, made.text
    batch_id = made.json()["id"]
    wait_until(lambda: cluster.a.get(f"/expeditor/batches/{batch_id}").json()["progress"]["succeeded"] == 2, WAIT_S)
    for each in cluster.instances:
        answer = each.get(f"/expeditor/batches/{batch_id}/results.zip")
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            assert manifest["missing"] == 0
            assert sum(name.endswith(".png") for name in archive.namelist()) == 2


def test_what_came_home_stays_when_its_maker_is_killed(cluster: RealCluster) -> None:
    job = done(cluster, picture(0x0000FF, prefix="stays"))
    cluster.b.kill()
    try:
        assert pixel(cluster.a.get(f"/expeditor/jobs/{job['id']}/outputs/0").content) == (0, 0, 255)
        image = entry_of(cluster, job["id"])["outputs"]["2"]["images"][0]
        assert cluster.a.get("/view", params=image).status_code == 200
    finally:
        cluster.b.start()
