"""Prompts that ask people, and small verbs to answer them over a running server's own routes, for the tests of parking."""

from __future__ import annotations

import uuid
from typing import Any

from tests.host.jobs_client import submit, until_status
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until


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


def history(server: RealComfyUI, job_id: str) -> dict[str, Any]:
    """ComfyUI's entry of a job that has ended, written a moment after its end is stored."""
    wait_until(lambda: job_id in server.get(f"/history/{job_id}").json(), what="its history")
    return server.get(f"/history/{job_id}").json()[job_id]


def shown(server: RealComfyUI, job_id: str, node_id: str = "8") -> Any:
    return history(server, job_id)["outputs"][node_id]["text"]


def parked(server: RealComfyUI, prompt: dict[str, Any], **fields: Any) -> str:
    job_id = submit(server, prompt, **fields)["id"]
    until_status(server, job_id, "waiting")
    return job_id


def listed(server: RealComfyUI) -> dict[str, list[str]]:
    queue = server.get("/queue").json()
    return {name.removeprefix("queue_"): [item[1] for item in items] for name, items in queue.items()}
