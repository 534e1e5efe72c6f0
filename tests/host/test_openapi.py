"""The OpenAPI document against a real server: schemathesis asks everything that it may be asked, and much that it may not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.host.jobs_client import quick, until_ended
from tests.support.comfy_server import ROOT, RealComfyUI
from tests.support.openapi import Conformance, strict
from tests.support.waiting import wait_until

PACK = ROOT / "tests/support/packs/expeditor_test_nodes"
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("response_schema_conformance", "negative_data_rejection"),
)
LEFT_OUT = (
    r"/queue/(pause|drain)$",  # the rest would meet a queue that stands still; asked below
    r"/events$",  # a stream has no end to wait for
)
CONFIG = """
[[operations]]
include-path = "/expeditor/batches"
include-method = "POST"
checks.negative_data_rejection.expected-statuses = [200, 400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429]
"""
"""A preview (``dry_run``) tells in a 200 what is wrong with each job; that the same body is refused without it is asked below."""
RUN = "from schemathesis.cli import schemathesis; schemathesis()"
LIMIT_S = 300
SETTINGS = {
    "EXPEDITOR_WEBHOOK_ALLOW_HTTP": "true",
    "EXPEDITOR_WEBHOOK_ALLOW_NETWORKS": '["127.0.0.0/8"]',
    "EXPEDITOR_WEBHOOK_SECRET": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
}
NOBODY = "http://127.0.0.1:9/nobody"


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    """A server that has one of everything: jobs with outputs, a batch, webhooks that nobody takes."""
    with RealComfyUI(packs=[PACK], env=SETTINGS) as started:
        for salt in (1, 2):
            prompt = {
                **quick(salt),
                "2": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": salt}},
                "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
            }
            job = started.post("/expeditor/submit?wait_s=60", json={"prompt": prompt, "webhook": NOBODY}).json()
            assert until_ended(started, job["id"])["status"] == "succeeded"
        made = started.post("/expeditor/batches", json={"prompt": quick(0), "sweep": {"zip": {"1.salt": [3, 4]}}})
        assert made.status_code == 201, made.text
        for job_id in made.json()["job_ids"]:
            until_ended(started, job_id)
        yield started


def asked(server: RealComfyUI, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """One run of schemathesis, on the document as it is served, with its objects closed."""
    spec = strict(server.get("/expeditor/openapi.json").json())
    return asked_by(spec, server, folder, "--exclude-path-regex", "|".join(LEFT_OUT), *options)


def asked_by(
    spec: dict[str, Any], server: RealComfyUI, folder: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    """The same, on another document."""
    file = folder / "openapi.json"
    file.write_text(json.dumps(spec), encoding="utf-8")
    (folder / "schemathesis.toml").write_text(CONFIG, encoding="utf-8")
    command = [
        *(sys.executable, "-W", "ignore", "-c", RUN, "run", str(file), "--url", server.url),
        *("--checks", ",".join(CHECKS), "--continue-on-failure", "--seed", "1", "--generation-database", "none"),
        *("--no-color", "--warnings", "off", *options),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def judge(run: subprocess.CompletedProcess[str], at_least: int) -> None:
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]
    assert "No issues found" in run.stdout
    (generated,) = (line for line in run.stdout.splitlines() if " generated, " in line)
    assert int(generated.split()[0]) >= at_least, generated


def test_every_answer_is_described(server: RealComfyUI, tmp_path: Path) -> None:
    judge(asked(server, tmp_path, "--phases", "coverage,fuzzing", "--max-examples", "5", "--max-time", "25"), 300)
    assert server.get("/expeditor/health").json()["status"] == "ok"


@pytest.mark.full
def test_every_answer_is_described_however_long_one_asks(server: RealComfyUI, tmp_path: Path) -> None:
    judge(asked(server, tmp_path, "--phases", "coverage,fuzzing,stateful", "--max-examples", "150"), 3_000)
    assert server.get("/expeditor/health").json()["status"] == "ok"


def test_a_document_that_is_wrong_is_found_out(server: RealComfyUI, tmp_path: Path) -> None:
    spec = strict(server.get("/expeditor/openapi.json").json())
    del spec["components"]["schemas"]["Health"]["properties"]["pid"]
    spec["components"]["schemas"]["Health"]["required"].remove("pid")
    run = asked_by(spec, server, tmp_path, "--include-path", "/expeditor/health", "--phases", "fuzzing", "-n", "1")
    assert run.returncode == 1
    assert "'pid' was unexpected" in run.stdout


def test_deliveries_are_described(server: RealComfyUI) -> None:
    conformance = Conformance(server.get("/expeditor/openapi.json").json())

    def tried() -> dict[str, Any] | None:
        page = server.get("/expeditor/deliveries").json()
        assert conformance.faults("Deliveries", page) == []
        return next((each for each in page["deliveries"] if each["attempt_count"]), None)

    delivery = wait_until(tried, 30, what="a try")
    assert delivery is not None
    told = server.get(delivery["links"]["self"])
    assert (told.status_code, conformance.faults("DeliveryInFull", told.json())) == (200, [])
    assert told.json()["attempts"]
    again = server.post(delivery["links"]["replay"])
    assert (again.status_code, conformance.faults("Delivery", again.json())) == (200, [])


def test_batches_are_described(server: RealComfyUI) -> None:
    conformance = Conformance(server.get("/expeditor/openapi.json").json())
    body = {"prompt": quick(0), "sweep": {"product": {"1.salt": [5, 6], "1.steps": [1, 2]}}, "metadata": {"a": "b"}}
    preview = server.post("/expeditor/batches?dry_run=true", json=body)
    assert (preview.status_code, conformance.faults("BatchPreview", preview.json())) == (200, [])
    wrong = {"jobs": [{"prompt": quick(0), "max_attempts": [1]}]}
    preview = server.post("/expeditor/batches?dry_run=true", json=wrong)
    assert (preview.status_code, preview.json()["valid"], preview.json()["faulty"]) == (200, False, 1)
    refused = server.post("/expeditor/batches", json=wrong)
    assert (refused.status_code, conformance.faults("Error", refused.json())) == (422, [])
    batch = server.post("/expeditor/batches", json=body)
    assert (batch.status_code, conformance.faults("BatchSubmitted", batch.json())) == (201, [])
    for job_id in batch.json()["job_ids"]:
        until_ended(server, job_id)
    here = f"/expeditor/batches/{batch.json()['id']}"
    for method, path, name in (
        ("GET", "", "Batch"),
        ("GET", "/results", "BatchResults"),
        ("POST", "/cancel", "BatchCanceled"),
        ("POST", "/retry", "BatchRetried"),
    ):
        answer = server.request(method, here + path)
        assert (answer.status_code, conformance.faults(name, answer.json())) == (200, []), path


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_it_is_served_under_both_prefixes(server: RealComfyUI, prefix: str) -> None:
    answer = server.get(f"{prefix}/expeditor/openapi.json")
    assert (answer.status_code, answer.json()["openapi"]) == (200, "3.1.0")


def test_the_queue_s_own_answers_are_described(server: RealComfyUI) -> None:
    conformance = Conformance(server.get("/expeditor/openapi.json").json())
    for verb in ("pause", "drain", "resume"):
        answer = server.post(f"/expeditor/queue/{verb}")
        assert (answer.status_code, conformance.faults("Queue", answer.json())) == (200, [])
        if verb == "drain":
            ready = server.get("/expeditor/ready")
            assert (ready.status_code, conformance.faults("Ready", ready.json())) == (503, [])
            refused = server.post("/expeditor/submit", json={"prompt": quick(3)})
            assert (refused.status_code, conformance.faults("Error", refused.json())) == (503, [])
