"""Retries on a real ComfyUI: at once after out of memory, later after a lost connection, never after a node's own error."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.host.jobs_client import job, submit, until_ended, until_status
from tests.host.socket_reader import Frame, SocketReader
from tests.host.stock_walk import TEST_NODES, open_gate
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

SETTINGS = {
    "EXPEDITOR_BACKOFF_BASE_S": "0.05",
    "EXPEDITOR_BACKOFF_MAX_S": "0.1",
    "EXPEDITOR_CAUSE_RULES": json.dumps({"RuntimeError: *warming up*": "UPSTREAM_UNAVAILABLE"}),
}


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES], env=SETTINGS) as running:
        yield running


def counted(class_type: str, key: str, **inputs: Any) -> dict[str, Any]:
    """A node that fails, behind one that counts how often it really runs."""
    return {
        "1": {"class_type": "ExpeditorTestCounts", "inputs": {"key": f"{key}-before", "salt": 0}},
        "2": {"class_type": class_type, "inputs": {"key": key, "after": ["1", 0], **inputs}},
    }


def oom(key: str, times: int) -> dict[str, Any]:
    return counted("ExpeditorTestOutOfMemory", key, times=times)


def raises(key: str, error: str, times: int, text: str = "raised by a test node") -> dict[str, Any]:
    return counted("ExpeditorTestRaises", key, error=error, text=text, times=times)


def runs(server: RealComfyUI, key: str) -> int:
    """How often a counting node of this key ran."""
    folder = server.base / "expeditor_test_runs" / key
    return len(list(folder.iterdir())) if folder.exists() else 0


def outcomes(ended: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(attempt["number"], attempt["outcome"], attempt["cause"]) for attempt in ended["attempts"]]


def heard_of(frames: list[Frame], job_id: str, kind: str) -> list[Frame]:
    return [frame for frame in frames if frame.kind == kind and (frame.data or {}).get("prompt_id") == job_id]


@pytest.fixture
def told(server: RealComfyUI) -> Iterator[tuple[SocketReader, str]]:
    client_id = uuid.uuid4().hex
    with SocketReader(server, client_id) as reader:
        yield reader, client_id


def the_one_end(reader: SocketReader, server: RealComfyUI, job_id: str, last_word: str) -> None:
    """The client heard one last word and one end of the prompt, and the history holds it once."""
    frames = reader.until(lambda frame: frame.ends_prompt and frame.data["prompt_id"] == job_id)
    # What comes late would come before the end of another prompt.
    other = submit(
        server, {"1": {"class_type": "ExpeditorTestOutOfMemory", "inputs": {"times": 0}}}, client_id=client(reader)
    )
    frames += reader.until(lambda frame: frame.ends_prompt and frame.data["prompt_id"] == other["id"])
    said = {
        word: len(heard_of(frames, job_id, word))
        for word in ("execution_success", "execution_error", "execution_interrupted")
    }
    assert said == {**dict.fromkeys(said, 0), last_word: 1}
    assert len([frame for frame in heard_of(frames, job_id, "executing") if frame.data["node"] is None]) == 1
    assert list(server.get(f"/history/{job_id}").json()) == [job_id]


def client(reader: SocketReader) -> str:
    """The client id of a reader's connection, as its first frame tells it."""
    return str(reader.first.data["sid"])


def test_out_of_memory_once_succeeds_in_place_and_is_told_once(server: RealComfyUI, told: tuple[SocketReader, str]):
    reader, client_id = told
    job_id = submit(server, oom("oom-once", 1), client_id=client_id)["id"]
    ended = until_ended(server, job_id)
    assert (ended["status"], ended["cause"], ended["error"]) == ("succeeded", None, None)
    assert outcomes(ended) == [(1, "failed", "OUT_OF_MEMORY"), (2, "succeeded", None)]
    first, second = ended["attempts"]
    assert (first["last_node_id"], first["instance"]) == ("2", second["instance"])
    assert first["message"].startswith("a test node says that memory is used up")
    assert second["started_at"] >= first["finished_at"]
    assert (runs(server, "oom-once"), runs(server, "oom-once-before")) == (2, 1), "what was computed was kept"
    the_one_end(reader, server, job_id, "execution_success")
    history = server.get(f"/history/{job_id}").json()[job_id]
    assert (history["status"]["status_str"], history["outputs"]["2"]) == ("success", {"runs": [2]})
    assert [name for name, _ in history["status"]["messages"]].count("execution_start") == 1
    assert "Traceback" not in json.dumps(history)


def behind_gate(name: str, failing: dict[str, Any]) -> dict[str, Any]:
    """A failing node that begins once the gate is opened."""
    prompt = {**failing, "1": {"class_type": "ExpeditorTestGate", "inputs": {"name": name}}}
    return {**prompt, "2": {**prompt["2"], "inputs": {**prompt["2"]["inputs"], "after": ["1", 0]}}}


@pytest.mark.parametrize(
    ("failing", "urgent_is_first"), [(oom("place", 1), False), (raises("no-place", "ConnectionError", 1), True)]
)
def test_in_place_keeps_the_machine_and_later_gives_it_up(
    server: RealComfyUI, failing: dict[str, Any], urgent_is_first: bool
):
    gate = f"place-{urgent_is_first}"
    again = submit(server, behind_gate(gate, failing))["id"]
    until_status(server, again, "running")
    urgent = submit(server, oom(f"urgent-{urgent_is_first}", 0), priority=10)["id"]
    open_gate(server, gate)
    second = until_ended(server, again)["attempts"][1]["started_at"]
    assert (until_ended(server, urgent)["started_at"] < second) is urgent_is_first


def test_out_of_memory_twice_in_a_row_fails(server: RealComfyUI, told: tuple[SocketReader, str]):
    reader, client_id = told
    job_id = submit(server, oom("oom-always", 99), client_id=client_id)["id"]
    ended = until_ended(server, job_id)
    assert (ended["status"], ended["cause"], ended["error"]["code"]) == ("failed", "OUT_OF_MEMORY", "OUT_OF_MEMORY")
    assert outcomes(ended) == [(1, "failed", "OUT_OF_MEMORY"), (2, "failed", "OUT_OF_MEMORY")]
    the_one_end(reader, server, job_id, "execution_error")


def test_a_connection_lost_twice_succeeds_after_back_offs(server: RealComfyUI, told: tuple[SocketReader, str]):
    reader, client_id = told
    job_id = submit(server, raises("connection", "ConnectionError", 2), client_id=client_id)["id"]
    ended = until_ended(server, job_id)
    assert ended["status"] == "succeeded", ended
    away = "UPSTREAM_UNAVAILABLE"
    assert outcomes(ended) == [(1, "failed", away), (2, "failed", away), (3, "succeeded", None)]
    assert (runs(server, "connection"), runs(server, "connection-before")) == (3, 1)
    the_one_end(reader, server, job_id, "execution_success")
    lines = [line for line in server.log_text().splitlines() if '"job.retrying"' in line and job_id in line]
    assert [json.loads(line[line.index("{") :])["attempt"] for line in lines] == [1, 2]


def test_tries_are_used_up_and_the_last_cause_stays(server: RealComfyUI, told: tuple[SocketReader, str]):
    reader, client_id = told
    job_id = submit(server, raises("timeout", "TimeoutError", 99, "no answer in 5 s"), client_id=client_id)["id"]
    ended = until_ended(server, job_id)
    assert (ended["status"], ended["cause"]) == ("failed", "UPSTREAM_UNAVAILABLE")
    assert (ended["error"]["code"], ended["error"]["message"]) == ("UPSTREAM_UNAVAILABLE", "no answer in 5 s")
    assert (ended["error"]["node_id"], ended["error"]["exception_type"]) == ("2", "TimeoutError")
    assert [attempt["cause"] for attempt in ended["attempts"]] == ["UPSTREAM_UNAVAILABLE"] * 3
    the_one_end(reader, server, job_id, "execution_error")


@pytest.mark.parametrize("error", ["ValueError", "TypeError", "RuntimeError"])
def test_a_nodes_own_error_is_not_tried_again(server: RealComfyUI, error: str):
    ended = until_ended(server, submit(server, raises(f"own-{error}", error, 99))["id"])
    assert (ended["status"], ended["cause"], runs(server, f"own-{error}")) == ("failed", "NODE_ERROR", 1)
    assert outcomes(ended) == [(1, "failed", "NODE_ERROR")]


def test_memory_that_a_message_tells_of_is_memory_too(server: RealComfyUI):
    ended = until_ended(server, submit(server, raises("by-text", "RuntimeError", 1, "CUDA out of memory."))["id"])
    assert outcomes(ended) == [(1, "failed", "OUT_OF_MEMORY"), (2, "succeeded", None)]


def test_a_rule_of_the_settings_makes_an_error_transient(server: RealComfyUI):
    ended = until_ended(server, submit(server, raises("rule", "RuntimeError", 1, "server is warming up"))["id"])
    assert outcomes(ended) == [(1, "failed", "UPSTREAM_UNAVAILABLE"), (2, "succeeded", None)]


def test_every_attempt_is_counted_and_the_job_once(server: RealComfyUI):
    def samples() -> dict[str, float]:
        lines = server.get("/expeditor/metrics").text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith(("expeditor_attempts", "expeditor_jobs_fin")))
        return {name: float(value) for name, value in pairs}

    before = samples()
    until_ended(server, submit(server, raises("metrics", "ConnectionError", 2))["id"])
    grown = {name: value - before.get(name, 0.0) for name, value in samples().items() if "_created" not in name}
    assert {name: by for name, by in grown.items() if by} == {
        'expeditor_attempts_total{cause="UPSTREAM_UNAVAILABLE"}': 2.0,
        'expeditor_attempts_total{cause="none"}': 1.0,
        'expeditor_jobs_finished_total{cause="none",status="succeeded"}': 1.0,
    }


def test_a_job_between_two_tries_can_be_cancelled_and_the_machine_does_other_work(told: tuple[SocketReader, str]):
    del told
    slow = {"EXPEDITOR_BACKOFF_BASE_S": "86400", "EXPEDITOR_BACKOFF_MAX_S": "86400"}
    with RealComfyUI(packs=[TEST_NODES], env=slow) as patient:
        waiting = submit(patient, raises("waits", "ConnectionError", 99), priority=10)["id"]
        wait_until(lambda: job(patient, waiting)["attempts"][:1] and runs(patient, "waits") == 1)
        assert until_status(patient, waiting, "queued")["attempts"][0]["cause"] == "UPSTREAM_UNAVAILABLE"
        other = until_ended(patient, submit(patient, oom("other", 0))["id"])
        assert other["status"] == "succeeded"
        listed = patient.get("/queue").json()
        assert [item[1] for item in listed["queue_pending"]] == [waiting]
        canceled = patient.post(f"/expeditor/jobs/{waiting}/cancel").json()
        assert (canceled["status"], canceled["cause"], len(canceled["attempts"])) == ("canceled", "CANCELED", 1)
        assert patient.get("/queue").json()["queue_pending"] == []
        assert runs(patient, "waits") == 1
