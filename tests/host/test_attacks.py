"""Attacks that once did harm on a real server; each must be refused or survived, and a good prompt must still run."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.host.jobs_client import job, occupy, quick, submit, until_ended
from tests.host.socket_reader import SocketReader
from tests.host.stock_walk import TEST_NODES, open_gate
from tests.support.comfy_server import RealComfyUI


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES]) as started:
        yield started


@pytest.fixture(autouse=True)
def unharmed(server):
    """After each attack the worker lives and runs a good prompt."""
    yield
    good = submit(server, quick(salt=1))
    assert until_ended(server, good["id"])["status"] == "succeeded"
    assert server.get("/expeditor/health").json()["worker_alive"] is True


@pytest.mark.parametrize("route", ["/prompt", "/queue", "/history", "/free", "/interrupt"])
@pytest.mark.parametrize("charset", ["nope", "rot13", "utf-32"])
def test_a_charset_that_core_could_not_decode_by_is_a_400(server, route, charset):
    headers = {"Content-Type": f"application/json; charset={charset}"}
    answer = server.post(route, data=json.dumps({"prompt": quick(salt=2)}).encode(), headers=headers)
    assert (answer.status_code, answer.reason) == (400, "INVALID_JSON")


def test_extra_data_too_deep_to_copy_cannot_stop_others_from_interrupting(server):
    deep = "[" * 700 + "]" * 700
    body = f'{{"prompt": {json.dumps(quick(salt=3))}, "extra_data": {{"x": {deep}}}}}'
    held = occupy(server, "deep")
    answer = server.post("/expeditor/submit", data=body)
    assert (answer.status_code, [fault["pointer"] for fault in answer.json()["error"]["errors"]]) == (
        422,
        ["/extra_data"],
    )
    interrupted = server.post("/interrupt", json={"prompt_id": held})
    assert interrupted.status_code == 200, server.log_text()[-4000:]
    assert until_ended(server, held)["status"] == "canceled"


@pytest.mark.parametrize("route", ["/prompt", "/expeditor/submit"])
def test_a_hundred_thousand_targets_are_answered(server, route):
    prompt = {str(node): quick(salt=node)["1"] for node in range(1_000)}
    targets = [*(f"x{place}" for place in range(100_000)), "7", "7"]
    answer = server.post(route, json={"prompt": prompt, "partial_execution_targets": targets})
    assert answer.status_code in {200, 201}, answer.text[:500]
    ended = until_ended(server, answer.json().get("prompt_id") or answer.json()["id"])
    assert (ended["status"], ended["attempts"][0]["last_node_id"]) == ("succeeded", "7")


def test_a_client_may_be_called_expeditor(server):
    with SocketReader(server, "expeditor-cli") as reader:
        answer = server.post("/prompt", json={"prompt": quick(salt=4), "client_id": "expeditor-cli"})
        assert answer.status_code == 200, answer.text
        kinds = {frame.kind for frame in reader.until(lambda frame: frame.ends_prompt)}
    assert {"execution_start", "executed", "execution_success"} <= kinds


def test_a_damaged_payload_costs_its_own_job_only(server):
    occupy(server, "damage")
    damaged, sound = (submit(server, quick(salt=salt))["id"] for salt in (5, 6))
    server.kill()
    (file,) = server.base.glob("user/**/expeditor.sqlite3")
    with closing(sqlite3.connect(file)) as database, database:
        changed = database.execute(
            "UPDATE payloads SET prompt_json = '{' WHERE job_seq = (SELECT seq FROM jobs WHERE id = ?)", (damaged,)
        )
        assert changed.rowcount == 1
    server.start()
    open_gate(server, "damage")
    assert until_ended(server, sound)["status"] == "succeeded"
    assert (job(server, damaged)["status"], job(server, damaged)["cause"]) == ("failed", "NODE_ERROR")
