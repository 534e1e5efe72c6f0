"""The official Python SDK, as its registry has it, against a real ComfyUI."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from comfy_sdk import Comfy, OutputReady, StatusChange
from comfy_sdk.exceptions import ComfyError, JobFailed, NotFound
from PIL import Image

from tests.host.jobs_client import quick
from tests.host.stock_walk import TEST_NODES, gate_prompt, image_prompt, open_gate
from tests.support.comfy_sdk import Contract, sdist
from tests.support.comfy_server import ROOT, RealComfyUI
from tests.support.waiting import wait_until

SALTS = itertools.count(1)
PLENTY_S = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES]) as started:
        yield started


@pytest.fixture(scope="module", params=["", "/expeditor"], ids=["at the contract's path", "beside it"])
def client(request: pytest.FixtureRequest, server: RealComfyUI) -> Iterator[Comfy]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMFY_BASE_URL", server.url + request.param)
        patch.delenv("COMFY_API_KEY", raising=False)
        with Comfy() as made:
            yield made


def graph(client: Comfy, prompt: dict):
    return client.workflows.from_json(prompt)


def short(client: Comfy):
    """A workflow that runs for a moment."""
    return graph(client, quick(next(SALTS)))


def gate_name() -> str:
    return f"gate-{next(SALTS)}"


def running(client: Comfy, name: str):
    """A job that runs until its gate is opened."""
    job = client.submit(graph(client, gate_prompt(name)))
    wait_until(lambda: client.jobs.get(job.id).status == "running", what="the gate's job to run")
    return job


def test_run_gives_the_ended_job(client):
    job = client.run(graph(client, image_prompt(next(SALTS))))
    assert job.status == "succeeded"
    (output,) = job.outputs
    assert (output.node_id, output.type, output.content_type) == ("2", "image", "image/png")
    assert output.size_bytes > 0
    assert client.jobs.get(job.id).outputs[0].id == output.id


def test_a_failed_job_says_why(client):
    prompt = {"1": {"class_type": "ExpeditorTestRaises", "inputs": {"salt": next(SALTS)}}}
    with pytest.raises(JobFailed) as failed:
        client.run(graph(client, prompt))
    error = failed.value.error
    assert (error.code, error.node_id, error.class_type) == ("node_execution_error", "1", "ExpeditorTestRaises")
    assert "Traceback" in (error.traceback or "") or "File" in (error.traceback or "")


def kinds(events):
    return [type(event).__name__ for event in events]


def test_events_tell_a_job_from_its_wait_to_its_end(client, server):
    name = gate_name()
    holder = running(client, name)
    prompt = quick(next(SALTS))
    prompt["1"]["inputs"] |= {"seconds": 1.2, "steps": 6, "preview": True}
    job = client.submit(graph(client, {**prompt, **_renumbered(image_prompt(next(SALTS)))}))
    events = job.events()
    first = next(events)
    assert (first.status, first.queue_position) == ("queued", 1)
    open_gate(server, name)
    told = list(events)
    states = [event.status for event in told if isinstance(event, StatusChange)]
    assert states == ["running", "succeeded"]
    assert kinds(told)[-1] == "StatusChange"
    assert "Progress" in kinds(told)
    made = [event.output for event in told if isinstance(event, OutputReady)]
    assert [output.id for output in made] == [output.id for output in job.refresh().outputs]
    assert len(made) == 1
    assert holder.wait(PLENTY_S).status == "succeeded"


def _renumbered(prompt):
    moved = {"1": "11", "2": "12"}
    (empty, save) = prompt.values()
    save["inputs"]["images"] = ["11", 0]
    return {moved["1"]: empty, moved["2"]: save}


def test_events_of_a_job_that_ended_already(client):
    job = client.run(graph(client, image_prompt(next(SALTS))))
    assert kinds(job.events()) == ["OutputReady", "StatusChange"]


def test_many_at_once_all_succeed(client):
    with ThreadPoolExecutor(16) as pool:
        jobs = list(pool.map(lambda _: client.run(short(client)), range(48)))
    assert {job.status for job in jobs} == {"succeeded"}
    assert len({job.id for job in jobs}) == 48


def test_cancel_queued_running_and_finished(client, server):
    name = gate_name()
    holder = running(client, name)
    queued = client.submit(short(client))
    assert queued.status == "queued"
    assert queued.cancel().status == "canceled"
    assert queued.cancel().wait(PLENTY_S).status == "canceled"
    assert holder.cancel().status in {"canceling", "canceled"}
    assert holder.wait(PLENTY_S).status == "canceled"
    open_gate(server, name)
    done = client.run(short(client))
    assert done.cancel().status == "succeeded"


def test_labels_filter_the_list(client):
    label = {"run": f"r{next(SALTS)}", "who": "\u00fcml\u00e4ut & co"}
    wanted = [client.submit(short(client), metadata=label).id for _ in range(5)]
    other = client.submit(short(client), metadata={"run": label["run"]})
    found = list(client.list_jobs(metadata=label, limit=2))
    assert [job.id for job in found] == wanted[::-1]
    assert {tuple(sorted(job.metadata.items())) for job in found} == {tuple(sorted(label.items()))}
    assert all(job.create_time and job.update_time for job in found)
    assert next(client.list_jobs(metadata={"run": label["run"]})).id == other.id
    assert client.jobs.get(other.id).metadata == {"run": label["run"]}
    with pytest.raises(ComfyError) as refused:
        list(client.list_jobs(metadata={"a b": "c"}))
    assert refused.value.code == "invalid_metadata_filter"


def test_priority_through_a_label_and_through_the_workflow(client, server):
    name = gate_name()
    holder = running(client, name)
    plain = client.submit(short(client))
    labelled = client.submit(short(client), metadata={"expeditor.priority": "9"})
    written = client.submit(graph(client, {**quick(next(SALTS)), "_priority": 10}))
    told = {job.id: server.get(f"/expeditor/jobs/{job.id}").json()["priority"] for job in (plain, labelled, written)}
    open_gate(server, name)
    for job in (holder, plain, labelled, written):
        assert job.wait(PLENTY_S).status == "succeeded"
    assert list(told.values()) == [3, 9, 10]
    starts = [
        server.get(f"/expeditor/jobs/{job.id}").json()["attempts"][0]["started_at"]
        for job in (written, labelled, plain)
    ]
    assert starts == sorted(starts)


def test_the_workflow_comes_back(client):
    prompt = quick(next(SALTS))
    job = client.run(graph(client, prompt))
    workflow = client.jobs.get(job.id).get_workflow()
    assert (workflow.graph, workflow.format) == (prompt, "api")


def test_what_is_refused_is_told_by_name(client):
    with pytest.raises(ComfyError) as refused:
        client.submit(graph(client, {"1": {"class_type": "NoSuchNode", "inputs": {}}}))
    assert (refused.value.code, refused.value.http_status) == ("invalid_workflow", 422)
    assert refused.value.request_id
    with pytest.raises(NotFound):
        client.jobs.get("00000000-0000-4000-8000-000000000000")


def test_a_waiting_job_is_waited_for_while_it_waits(client, server):
    name = gate_name()
    holder = running(client, name)
    queued = client.submit(short(client))
    opener = threading.Timer(1.5, open_gate, (server, name))
    opener.start()
    assert queued.wait(PLENTY_S).status == "succeeded"
    assert holder.wait(PLENTY_S).status == "succeeded"
    opener.join()


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract.of_sdk()


def test_the_pages_example(server, tmp_path):
    page = (ROOT / "docs/comfy-api-v2.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    env = {**os.environ, "COMFY_BASE_URL": server.url}
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "OutputReady" in done.stdout
    colors = {name: Image.open(tmp_path / f"{name}.png").getpixel((5, 5)) for name in ("blue", "yellow")}
    assert colors == {"blue": (0, 0, 255), "yellow": (255, 255, 0)}


def test_the_sdks_own_live_test(server, tmp_path):
    env = {**os.environ, "COMFY_BASE_URL": server.url, "COMFY_API_KEY": "any"}
    live = sdist() / "tests/integration/test_gateway_e2e.py"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--noconftest",
        "-c",
        os.devnull,
        str(live),
    ]
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), "-rA"],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # Its last test is marked as failing, since other hosts do not resolve asset references; here it passes.
    assert "3 passed, 1 xpassed" in done.stdout, done.stdout


class TestSpec:
    """Answers as they come, judged by the contract's own file."""

    @staticmethod
    def judged(contract, response, method, path):
        assert contract.faults(method, path, response.status_code, response.json()) == []
        return response.json()

    def test_jobs_in_every_state(self, server, contract):
        jobs, one = "/api/v2/jobs", "/api/v2/jobs/{id}"

        def submitted(prompt):
            return self.judged(contract, server.post(jobs, json={"workflow": prompt}), "POST", jobs)

        def state(job, *statuses):
            def there():
                told = self.judged(contract, server.get(job["urls"]["self"]), "GET", one)
                return told["status"] in statuses

            wait_until(there, PLENTY_S, what=f"{job['id']} to be {statuses}")

        name = gate_name()
        holder = submitted(gate_prompt(name))
        queued = submitted(image_prompt(next(SALTS)))
        state(holder, "running")
        state(queued, "queued")
        dropped = submitted(quick(next(SALTS)))
        self.judged(contract, server.post(dropped["urls"]["cancel"]), "POST", one + "/cancel")
        state(dropped, "canceled")
        open_gate(server, name)
        state(holder, "succeeded")
        state(queued, "succeeded")
        failed = submitted({"1": {"class_type": "ExpeditorTestRaises", "inputs": {"salt": next(SALTS)}}})
        state(failed, "failed")
        for job in (queued, failed):
            self.judged(contract, server.get(f"{jobs}/{job['id']}/workflow"), "GET", one + "/workflow")

    def test_refusals(self, server, contract):
        jobs, one = "/api/v2/jobs", "/api/v2/jobs/{id}"
        key = {"Idempotency-Key": f"key {next(SALTS)}"}
        bodies = (
            {"workflow": {}},
            {"workflow": {"nodes": [], "links": []}},
            {"workflow": image_prompt(1), "inputs": {}},
        )
        for body in bodies:
            assert self.judged(contract, server.post(jobs, json=body, headers=key), "POST", jobs)["error"]["code"]
        body = {"workflow": quick(next(SALTS))}
        self.judged(contract, server.post(jobs, json=body, headers=key), "POST", jobs)
        again = self.judged(contract, server.post(jobs, json=body, headers=key), "POST", jobs)
        assert again["error"]["code"] == "idempotency_key_reuse"
        for path in ("", "/workflow"):
            self.judged(contract, server.get(f"{jobs}/none{path}"), "GET", one + path)
        self.judged(contract, server.post(f"{jobs}/none/cancel"), "POST", one + "/cancel")

    def test_frames(self, server, contract):
        prompt = quick(next(SALTS))
        prompt["1"]["inputs"] |= {"seconds": 1.2, "steps": 6, "preview": True}
        job = server.post(
            "/api/v2/jobs", json={"workflow": {**prompt, **_renumbered(image_prompt(next(SALTS)))}}
        ).json()
        text = server.get(job["urls"]["events"]).text
        frames = [part.split("\n") for part in text.split("\n\n") if part and not part.startswith(":")]
        told = [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in frames]
        assert {name for name, _ in told} >= {"status", "progress", "preview", "output"}
        assert [contract.event_faults(*frame) for frame in told] == [[]] * len(told)

    def test_it_is_able_to_find_a_fault(self, contract):
        assert contract.faults("GET", "/api/v2/jobs/{id}", 200, {"id": "x"})
        assert contract.faults("GET", "/api/v2/jobs/{id}", 503, {})
        assert contract.event_faults("status", {"status": "waiting"})


def test_a_big_body_has_the_envelope(server):
    huge = b'{"workflow": "' + b"x" * (101 * 1024 * 1024) + b'"}'
    answer = server.post("/api/v2/jobs", data=huge)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")
    large = {"workflow": {"1": {"class_type": "x" * 10_000_000, "inputs": {}}}}
    answer = server.post("/api/v2/jobs", json=large)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_workflow")
    assert len(answer.content) < 10_000
