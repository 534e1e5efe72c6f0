"""kill -9 of a real ComfyUI: no accepted job is lost, the order stays, and a job that keeps killing the server is given up."""

from __future__ import annotations

import uuid
from pathlib import Path

from tests.host.jobs_client import job, occupy, order_of_start, quick, submit, until_ended, until_status
from tests.host.stock_walk import TEST_NODES, gate_prompt, open_gate
from tests.support.comfy_server import RealComfyUI


def test_accepted_jobs_survive_and_keep_their_order():
    with RealComfyUI(packs=[TEST_NODES]) as server:
        held = occupy(server, "crash")
        low, high = submit(server, quick(1), priority=2)["id"], submit(server, quick(2), priority=9)["id"]
        native = server.post("/prompt", json={"prompt": quick(3), "_priority": 5, "client_id": "page"}).json()[
            "prompt_id"
        ]
        server.kill()
        open_gate(server, "crash")
        server.start()
        ended = until_ended(server, held)
        assert [attempt["cause"] for attempt in ended["attempts"]] == ["PROCESS_DIED", None]
        assert ended["status"] == "succeeded"
        assert order_of_start(server, [low, native, high])[0] == high
        assert {job(server, job_id)["status"] for job_id in (low, high, native)} == {"succeeded"}
        # A finished job is not run again by the next start.
        server.restart()
        assert [job(server, job_id)["attempt"] for job_id in (held, low, high, native)] == [2, 1, 1, 1]


def test_a_job_that_dies_with_the_server_three_times_is_given_up():
    with RealComfyUI(packs=[TEST_NODES]) as server:
        poison = submit(server, gate_prompt(f"never-{uuid.uuid4()}"), priority=10)["id"]
        for _ in range(3):
            until_status(server, poison, "running")
            server.restart()
        ended = until_ended(server, poison)
        assert (ended["status"], ended["cause"], ended["attempt"]) == ("failed", "POISON", 3)
        assert until_ended(server, submit(server, quick(9))["id"])["status"] == "succeeded"


def test_partner_keys_are_never_stored_and_a_job_that_needs_one_says_so():
    with RealComfyUI(packs=[TEST_NODES]) as server:
        occupy(server, "secret")
        secret = f"key-{uuid.uuid4()}"
        keyed = submit(server, quick(5), extra_data={"api_key_comfy_org": secret})["id"]
        for file in server.base.rglob("*"):
            if file.is_file() and file.name != server.log_path.name:
                assert secret.encode() not in file.read_bytes(), file
        server.kill()
        open_gate(server, "secret")
        server.start()
        ended = until_ended(server, keyed)
        assert (ended["status"], ended["cause"]) == ("failed", "SECRET_LOST")


def test_a_second_server_on_the_same_data_stands_down_and_names_the_first(tmp_path: Path):
    env = {"EXPEDITOR_DATA_DIR": str(tmp_path)}
    with RealComfyUI(env=env) as first, RealComfyUI(env=env) as second:
        assert second.get("/expeditor/health").json()["hooks"]["queue"] != "on"
        assert str(first.pid) in second.get("/expeditor/health").json()["hooks"]["queue"]
        assert second.get("/expeditor/ready").status_code == 503
        refused = second.post("/expeditor/submit", json={"prompt": {}})
        assert refused.status_code in (422, 503)
        stock = {
            "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
            "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        }
        assert second.post("/prompt", json={"prompt": stock}).status_code == 200
