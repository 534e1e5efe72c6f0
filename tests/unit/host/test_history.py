"""What is shown in ComfyUI's history of jobs that ended before a start."""

from __future__ import annotations

import json
from dataclasses import replace

from expeditor.host.history import restored_entry
from expeditor.jobs.model import JobStatus, Payload
from tests.unit.host.test_farewells import ended

PAYLOAD = Payload('{"1": {"class_type": "A", "inputs": {}}}', "{}", '["1"]')
STATUS = {"status_str": "success", "completed": True, "messages": [["execution_start", {}], ["execution_success", {}]]}
KEPT = json.dumps({"outputs": {"1": {"images": []}}, "status": STATUS, "meta": {}})


def test_what_a_run_said_is_shown():
    entry = restored_entry(ended(JobStatus.SUCCEEDED), PAYLOAD, KEPT)
    assert entry is not None
    assert entry["status"] == STATUS
    assert entry["outputs"] == {"1": {"images": []}}


def test_a_job_that_was_cancelled_before_its_run_ended_is_shown_as_interrupted():
    entry = restored_entry(replace(ended(JobStatus.CANCELED), finished_at_s=5.0), PAYLOAD, KEPT)
    assert entry is not None
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
    assert [event for event, _ in entry["status"]["messages"]] == ["execution_start", "execution_interrupted"]
    assert entry["outputs"] == {"1": {"images": []}}, "outputs made before stay"
