"""The server is killed and started again: the SDK picks every job up by its id, whatever state it was in."""

from __future__ import annotations

import pytest
from comfy_sdk import Comfy

from tests.host.jobs_client import quick
from tests.host.stock_walk import TEST_NODES, gate_prompt, image_prompt, open_gate
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

PLENTY_S = 60.0


def test_jobs_of_every_state_are_picked_up(monkeypatch: pytest.MonkeyPatch):
    with RealComfyUI(packs=[TEST_NODES]) as server:
        monkeypatch.setenv("COMFY_BASE_URL", server.url)
        with Comfy() as client:

            def submit(prompt, **options):
                return client.submit(client.workflows.from_json(prompt), **options)

            done = submit(image_prompt(7)).result()
            failed = submit({"1": {"class_type": "ExpeditorTestRaises", "inputs": {"salt": 1}}}).wait(PLENTY_S)
            runs = submit(gate_prompt("gate"))
            wait_until(lambda: client.jobs.get(runs.id).status == "running", what="the gate's job to run")
            waits = submit(quick(1), metadata={"run": "7"})
            dropped = submit(quick(2)).cancel()

            server.restart()

            assert client.jobs.get(done.id).outputs[0].id == done.outputs[0].id
            assert client.jobs.get(failed.id).error.message == failed.error.message
            assert client.jobs.get(dropped.id).status == "canceled"
            open_gate(server, "gate")
            assert client.jobs.get(runs.id).wait(PLENTY_S).status == "succeeded"
            again = client.jobs.get(waits.id).wait(PLENTY_S)
            assert (again.status, again.metadata) == ("succeeded", {"run": "7"})
            assert [job.id for job in client.list_jobs(metadata={"run": "7"})] == [waits.id]
            assert len(list(client.list_jobs())) == 5
