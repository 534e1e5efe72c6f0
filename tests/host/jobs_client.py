"""Small verbs over a running server's own routes, for the tests of jobs. Prompts come from the test node pack."""

from __future__ import annotations

from typing import Any

from tests.host.stock_walk import gate_prompt
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

ENDED = {"succeeded", "failed", "canceled", "expired"}


def submit(server: RealComfyUI, prompt: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The accepted job."""
    answer = server.post("/expeditor/submit", json={"prompt": prompt, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def job(server: RealComfyUI, job_id: str) -> dict[str, Any]:
    """The job as it stands."""
    answer = server.get(f"/expeditor/jobs/{job_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def until_status(server: RealComfyUI, job_id: str, *statuses: str, deadline_s: float = 30.0) -> dict[str, Any]:
    """The job once it has one of these statuses."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = [job(server, job_id)]
        return found[0]["status"] in statuses

    wait_until(there, deadline_s, what=f"{job_id} to be {statuses}")
    return found[0]


def until_ended(server: RealComfyUI, job_id: str, deadline_s: float = 30.0) -> dict[str, Any]:
    """The job once it has ended."""
    return until_status(server, job_id, *ENDED, deadline_s=deadline_s)


def occupy(server: RealComfyUI, gate: str) -> str:
    """A job that holds the worker until the gate is opened; returns once it runs."""
    held = submit(server, gate_prompt(gate), priority=10)["id"]
    until_status(server, held, "running")
    return held


def order_of_start(server: RealComfyUI, job_ids: list[str]) -> list[str]:
    """The ids in the order in which they were started; all must have ended."""
    started = {job_id: until_ended(server, job_id)["started_at"] for job_id in job_ids}
    attempts = {job_id: job(server, job_id)["attempts"][0]["started_at"] for job_id in started}
    return sorted(started, key=lambda job_id: attempts[job_id])


def quick(salt: int) -> dict[str, Any]:
    """A prompt that runs for a moment and is never taken from the cache of another salt."""
    return {"1": {"class_type": "ExpeditorTestSleepy", "inputs": {"seconds": 0.02, "steps": 1, "salt": salt}}}
