"""Prompts that wait for people give the machine to others on a real ComfyUI, and go on where they were."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.host.jobs_client import job, submit, until_ended, until_status
from tests.host.stock_walk import TEST_NODES
from tests.support.comfy_server import RealComfyUI

SETTINGS = {"EXPEDITOR_PARK_AFTER_S": "0"}


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES], env=SETTINGS) as running:
        yield running


def counting(key: str, salt: int = 0) -> dict[str, Any]:
    return {"class_type": "ExpeditorTestCounts", "inputs": {"key": key, "salt": salt}}


def wait_node(after: list[Any] | None = None, **changed: Any) -> dict[str, Any]:
    inputs = {"label": "Go on?", "timeout_s": 120, "default_message": "nobody", "on_timeout": "use default", **changed}
    return {"class_type": "WaitForMessage", "inputs": inputs if after is None else {**inputs, "after": after}}


def shows(source: list[Any]) -> dict[str, Any]:
    return {"class_type": "PreviewAny", "inputs": {"source": source}}


def asking(key: str, **changed: Any) -> dict[str, Any]:
    """A node that counts its runs, a question behind it, and what comes of it."""
    return {"1": counting(key), "7": wait_node(["1", 0], **changed), "8": shows(["7", 0])}


def quick() -> dict[str, Any]:
    return {"1": counting(uuid.uuid4().hex), "2": shows(["1", 0])}


def runs(server: RealComfyUI, key: str) -> int:
    folder = server.base / "expeditor_test_runs" / key
    return len(list(folder.iterdir())) if folder.exists() else 0


def pending(server: RealComfyUI, *job_ids: str) -> list[dict[str, Any]]:
    found = server.get("/expeditor/messages/pending").json()["pending"]
    return [wait for wait in found if wait["prompt_id"] in job_ids]


def answer(server: RealComfyUI, **fields: Any) -> int:
    return server.post("/expeditor/messages", data=fields).status_code


def shown(server: RealComfyUI, job_id: str, node_id: str = "8") -> Any:
    return server.get(f"/history/{job_id}").json()[job_id]["outputs"][node_id]["text"]


def parked(server: RealComfyUI, prompt: dict[str, Any], **fields: Any) -> str:
    job_id = submit(server, prompt, **fields)["id"]
    until_status(server, job_id, "waiting")
    return job_id


def test_another_job_runs_while_one_waits_and_nothing_runs_twice(server: RealComfyUI):
    job_id = parked(server, asking("meanwhile"))
    other = submit(server, quick())["id"]
    assert until_ended(server, other)["status"] == "succeeded"
    (wait,) = pending(server, job_id)
    assert (wait["node_id"], wait["label"], job(server, job_id)["status"]) == ("7", "Go on?", "waiting")
    assert answer(server, message="on", node_id="7", token=wait["token"]) == 200
    assert answer(server, message="again", node_id="7", token=wait["token"]) == 410
    ended = until_ended(server, job_id)
    assert (ended["status"], ended["attempt"], shown(server, job_id)) == ("succeeded", 1, ["on"])
    assert runs(server, "meanwhile") == 1
    assert pending(server, job_id) == []
