"""Batches and sweeps on a real ComfyUI: what they make, all or none, cancel, another run, and a kill in the middle."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from tests.host.jobs_client import job, occupy, quick, until_ended
from tests.host.stock_walk import TEST_NODES, image_prompt, open_gate
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

BATCHES = "/expeditor/batches"
COLORS = [0x100000 * n + 0x000F0F for n in range(1, 13)]
MAX_WAITING = 1_500
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    """With the test nodes and room for `MAX_WAITING` jobs."""
    with RealComfyUI(packs=[TEST_NODES], env={"EXPEDITOR_MAX_WAITING_JOBS": str(MAX_WAITING)}) as running:
        yield running


def submit(server: RealComfyUI, body: dict[str, Any], status: int = 201, **headers: str) -> dict[str, Any]:
    answer = server.post(BATCHES, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


def batch_of(server: RealComfyUI, batch_id: str) -> dict[str, Any]:
    answer = server.get(f"{BATCHES}/{batch_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def until_batch_ended(server: RealComfyUI, batch_id: str) -> dict[str, Any]:
    wait_until(lambda: batch_of(server, batch_id)["status"] == "ended", DEADLINE_S, what="the batch's end")
    return batch_of(server, batch_id)


def results(server: RealComfyUI, batch_id: str) -> list[dict[str, Any]]:
    return server.get(f"{BATCHES}/{batch_id}/results").json()["items"]


def sleepy(count: int, seconds: float, salt: int) -> dict[str, Any]:
    """A batch of jobs that take a while each."""
    prompt = {"1": {"class_type": "ExpeditorTestSleepy", "inputs": {"seconds": seconds, "steps": 1, "salt": 0}}}
    return {"prompt": prompt, "sweep": {"product": {"1.salt": [salt + n for n in range(count)]}}}


def listed(server: RealComfyUI) -> list[str]:
    """The ids in ComfyUI's own list of what waits."""
    return [item[1] for item in sorted(server.get("/queue").json()["queue_pending"], key=lambda item: item[0])]


def test_a_sweep_of_twelve_colours_gives_twelve_pictures_as_files_and_as_a_zip(server):
    body = {
        "prompt": image_prompt(0, "sweep"),
        "sweep": {"product": {"1.color": COLORS}},
        "metadata": {"set": "twelve"},
    }
    preview = server.post(f"{BATCHES}?dry_run=true", json=body).json()
    assert (preview["valid"], preview["count"], preview["room"]) == (True, 12, True)
    accepted = submit(server, body)
    ended = until_batch_ended(server, accepted["id"])
    assert (ended["count"], ended["ended"], ended["progress"]["succeeded"], ended["failed"]) == (12, 12, 12, [])
    items = results(server, accepted["id"])
    assert [item["values"]["1.color"] for item in items] == COLORS
    assert [item["job_id"] for item in items] == accepted["job_ids"]
    answer = server.get(f"{BATCHES}/{accepted['id']}/results.zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        manifest = json.loads(archive.read("manifest.json"))
        zipped = {name: archive.read(name) for name in archive.namelist()}
    assert len(zipped) == 13
    for item, color in zip(manifest["items"], COLORS, strict=True):
        (output,) = item["outputs"]
        picture = zipped[output["file"]]
        assert picture == server.get(output["url"].removeprefix(server.url)).content
        pixel = Image.open(io.BytesIO(picture)).convert("RGB").getpixel((0, 0))
        assert pixel == (color >> 16, (color >> 8) & 255, color & 255)
    found = server.get(f"/expeditor/jobs?metadata.set=twelve&batch={accepted['id']}&limit=1000").json()["jobs"]
    assert [each["id"] for each in reversed(found)] == accepted["job_ids"]


def test_comfyui_lists_the_whole_batch_in_its_order_and_none_of_a_refused_one(server):
    occupy(server, "batch-list")
    try:
        accepted = submit(server, sleepy(12, 0.01, 100))
        assert listed(server) == accepted["job_ids"]
        bad = sleepy(12, 0.01, 200)
        bad["sweep"]["product"]["1.salt"][7] = "no number"
        refused = server.post(BATCHES, json=bad)
        assert (refused.status_code, refused.json()["error"]["errors"][0]["pointer"]) == (
            422,
            "/sweep/product/1.salt/7",
        )
        assert listed(server) == accepted["job_ids"]
        partial = submit(server, {**bad, "partial": True})
        assert (partial["count"], [each["index"] for each in partial["refused"]]) == (11, [7])
        assert listed(server) == accepted["job_ids"] + partial["job_ids"]
    finally:
        open_gate(server, "batch-list")
    assert until_batch_ended(server, partial["id"])["progress"]["succeeded"] == 11
    assert [item["index"] for item in results(server, partial["id"])] == [n for n in range(12) if n != 7]


def test_a_thousand_jobs_enter_at_once_while_others_are_served_and_no_more_than_fit(server):
    server.post("/expeditor/queue/pause")
    try:
        asked: list[int] = []
        over = threading.Event()

        def others() -> None:
            while not over.is_set():
                asked.append(server.get("/expeditor/health").status_code)

        thread = threading.Thread(target=others)
        thread.start()
        wait_until(lambda: asked, what="the first answer to others")
        before = len(asked)
        accepted = submit(server, sleepy(1_000, 0.0, 10_000))
        meanwhile = len(asked) - before
        over.set()
        thread.join(30)
        assert (accepted["count"], len(listed(server))) == (1_000, 1_000)
        assert meanwhile >= 5, "the loop stood still for the whole batch"
        refused = server.post(BATCHES, json=sleepy(600, 0.0, 20_000))
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "QUEUE_FULL")
        assert listed(server) == accepted["job_ids"]
        large = server.post(BATCHES, json=sleepy(1_001, 0.0, 20_000))
        assert (large.status_code, large.json()["error"]["code"]) == (422, "LIMIT_EXCEEDED")
        ended = server.post(f"{BATCHES}/{accepted['id']}/cancel").json()
        assert (ended["canceled"], ended["batch"]["status"], listed(server)) == (1_000, "ended", [])
    finally:
        server.post("/expeditor/queue/resume")


def test_a_batch_cancelled_half_way_ends_and_what_has_run_stays(server):
    accepted = submit(server, sleepy(12, 0.2, 300))
    until_ended(server, accepted["job_ids"][2])
    told = server.post(f"{BATCHES}/{accepted['id']}/cancel").json()
    assert told["canceled"] >= 1
    ended = until_batch_ended(server, accepted["id"])
    progress = ended["progress"]
    assert progress["succeeded"] >= 3
    assert progress["succeeded"] + progress["canceled"] == 12
    assert server.post(f"{BATCHES}/{accepted['id']}/cancel").json()["canceled"] == 0


def test_the_failed_ones_run_again_and_only_they(server):
    raises = {
        "1": {
            "class_type": "ExpeditorTestRaises",
            "inputs": {"error": "ValueError", "text": "no", "times": 1, "key": ""},
        }
    }
    jobs = [{"prompt": quick(4_000 + n)} for n in range(3)]
    for n in range(2):
        prompt = {"1": {**raises["1"], "inputs": {**raises["1"]["inputs"], "key": f"batch-retry-{n}"}}}
        jobs.insert(2 * n + 1, {"prompt": prompt})
    accepted = submit(server, {"jobs": jobs})
    ended = until_batch_ended(server, accepted["id"])
    assert [(each["index"], each["code"]) for each in ended["failed"]] == [(1, "NODE_ERROR"), (3, "NODE_ERROR")]
    told = server.post(f"{BATCHES}/{accepted['id']}/retry").json()
    assert (told["retried"], told["matched"]) == (2, 2)
    assert until_batch_ended(server, accepted["id"])["progress"]["succeeded"] == 5
    assert server.post(f"{BATCHES}/{accepted['id']}/retry").json()["retried"] == 0
    assert [job(server, job_id)["attempt"] for job_id in accepted["job_ids"]] == [1, 2, 1, 2, 1]


def test_values_that_comfyui_would_change_reach_the_nodes_changed(server):
    """ComfyUI makes a fraction of a whole number, for the first of a batch and for the last."""
    body = sleepy(1, 0.0, 500)
    body["sweep"] = {"product": {"1.seconds": [0, 0.0], "1.salt": [501, 502]}}
    accepted = submit(server, body)
    until_batch_ended(server, accepted["id"])
    ran = [
        server.get(f"/history/{job_id}").json()[job_id]["prompt"][2]["1"]["inputs"] for job_id in accepted["job_ids"]
    ]
    assert [type(inputs["seconds"]) for inputs in ran] == [float] * 4
    assert [inputs["salt"] for inputs in ran] == [501, 502, 501, 502]


def test_a_batch_goes_on_after_a_kill_in_the_middle_and_a_repeat_is_the_same_batch():
    with RealComfyUI(packs=[TEST_NODES]) as server:
        body = sleepy(12, 0.3, 700)
        accepted = submit(server, body, **{"Idempotency-Key": "one-batch"})
        until_ended(server, accepted["job_ids"][3])
        server.restart()
        again = submit(server, body, status=200, **{"Idempotency-Key": "one-batch"})
        assert (again["id"], again["job_ids"], again["count"]) == (accepted["id"], accepted["job_ids"], 12)
        assert again["ended"] >= 4
        ended = until_batch_ended(server, accepted["id"])
        assert ended["progress"]["succeeded"] == 12
        items = results(server, accepted["id"])
        assert [item["values"]["1.salt"] for item in items] == [700 + n for n in range(12)]
