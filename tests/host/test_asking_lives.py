"""Pictures of waiting nodes over the lives of a server: they outlive its death with a parked job, leave nothing behind, and a disk that
does not take them fails the node and not the server."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator

import pytest

from tests.host.jobs_client import submit, until_ended, until_status
from tests.host.waiting_nodes import answer, approving, open_waits, outputs, pending, picking
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

MANY = 25


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(env={"EXPEDITOR_PARK_AFTER_S": "0"}) as running:
        yield running


@pytest.fixture
def prefix():
    return f"lives-{uuid.uuid4().hex[:8]}"


def folder(server):
    return server.base / "user/__expeditor/waits"


def nothing_left(server):
    wait_until(lambda: not folder(server).exists() or not list(folder(server).iterdir()), what="no pictures left")


def test_pictures_of_a_parked_job_can_be_seen_after_a_death_and_its_answer_picks_them(server, prefix):
    job_id = submit(server, picking(prefix))["id"]
    until_status(server, job_id, "waiting")
    (wait,) = pending(server)
    before = [server.get(image["url"]).content for image in wait["images"]]
    (folder(server) / "left-by-a-dead-process").mkdir()
    server.restart()
    (again,) = pending(server)
    assert (again["token"], again["images"], again["deadline_at"]) == (
        wait["token"],
        wait["images"],
        wait["deadline_at"],
    )
    assert [server.get(image["url"]).content for image in again["images"]] == before
    assert [path.name for path in folder(server).iterdir()] == [wait["token"]]
    assert answer(server, message="9", node_id="7").status_code == 422, "judged as before"
    assert answer(server, message="3,1", node_id="7").status_code == 200
    assert until_ended(server, job_id)["status"] == "succeeded"
    assert outputs(server, job_id)["21"]["text"] == ["3,1"]
    nothing_left(server)


def test_a_parked_job_that_is_cancelled_takes_its_pictures_along(server, prefix):
    job_id = submit(server, approving(prefix))["id"]
    until_status(server, job_id, "waiting")
    (wait,) = pending(server)
    assert server.post(f"/expeditor/jobs/{job_id}/cancel").status_code == 200
    assert until_ended(server, job_id)["status"] == "canceled"
    assert server.get(wait["images"][0]["url"]).status_code == 410
    nothing_left(server)


def approve_one(server):
    wait = wait_until(lambda: next(iter(open_waits(server)), None), what="a question")
    said = server.post("/expeditor/messages", json={"message": "approve", "node_id": "7", "token": wait["token"]})
    assert said.status_code == 200, said.text
    wait_until(lambda: wait["token"] not in [each["token"] for each in open_waits(server)], what="its end")


def test_many_waits_leave_nothing_behind(server, prefix):
    jobs = [submit(server, approving(prefix, label=f"{n}?"))["id"] for n in range(MANY)]
    for _ in jobs:
        approve_one(server)
    assert {until_ended(server, job_id)["status"] for job_id in jobs} == {"succeeded"}
    nothing_left(server)


def test_a_disk_that_does_not_take_the_pictures_fails_the_node_with_the_reason(server, prefix):
    shutil.rmtree(folder(server), ignore_errors=True)
    folder(server).write_bytes(b"a file in the way")
    try:
        job = until_ended(server, submit(server, approving(prefix))["id"])
        assert (job["status"], job["attempt"]) == ("failed", 1)
        assert "The pictures cannot be stored for a person to see: " in job["error"]["message"]
        assert open_waits(server) == []
    finally:
        folder(server).unlink()
    job_id = submit(server, approving(prefix, timeout_s=0.2, on_timeout="approve"))["id"]
    assert until_ended(server, job_id)["status"] == "succeeded"
