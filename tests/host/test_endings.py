"""Every job's end is told exactly once to a client that waits for `executing` with no node, however the job ended.

The client announces nothing and reads frames until it has heard the end of its job; then it runs one more job, so that
whatever would be told twice has been told by then.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos.test_disk_full import disk_full, fill
from tests.host.jobs_client import job, occupy, quick, submit, until_ended, until_status
from tests.host.socket_reader import Frame, SocketReader
from tests.host.stock_walk import TEST_NODES, gate_prompt, open_gate, running
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

LAST_WORDS = ("execution_success", "execution_error", "execution_interrupted")


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES]) as running_server:
        yield running_server


@pytest.fixture
def client() -> str:
    return str(uuid.uuid4())


def _end_of(frames: list[Frame], job_id: str) -> list[str]:
    """What was told of one job's end, in order; `end` stands for `executing` with no node."""
    of_job = [frame for frame in frames if frame.kind != "status" and frame.data.get("prompt_id") == job_id]
    ends = [frame for frame in of_job if frame.kind in LAST_WORDS or frame.ends_prompt]
    return ["end" if frame.ends_prompt else frame.kind for frame in ends]


def _until_end(socket: SocketReader, job_id: str) -> list[Frame]:
    return socket.until(lambda frame: frame.ends_prompt and frame.data["prompt_id"] == job_id)


def _all_told(server: RealComfyUI, socket: SocketReader, client: str, job_id: str) -> list[Frame]:
    """The frames to the end of this job and on to the end of one more."""
    frames = [frame for frame in _until_end(socket, job_id) if not frame.kind.startswith("binary")]
    last = submit(server, quick(hash(job_id) % 100_000), client_id=client)["id"]
    return [*frames, *_until_end(socket, last)]


def _history(server: RealComfyUI, job_id: str) -> dict[str, Any] | None:
    return server.get(f"/history/{job_id}").json().get(job_id)


def _raises(times: int, key: str, error: str = "ValueError") -> dict[str, Any]:
    return {
        "1": {"class_type": "ExpeditorTestRaises", "inputs": {"error": error, "text": "x", "times": times, "key": key}}
    }


@pytest.mark.parametrize(
    ("prompt", "word"),
    [(quick(1), "execution_success"), (_raises(9, "always"), "execution_error")],
    ids=["good", "bad"],
)
def test_a_job_that_runs(server: RealComfyUI, client: str, prompt: dict[str, Any], word: str):
    with SocketReader(server, client) as socket:
        job_id = submit(server, prompt, client_id=client)["id"]
        frames = _until_end(socket, job_id)
        assert _history(server, job_id), "whoever was told of the end finds it in the history"
        assert job(server, job_id)["status"] in ("succeeded", "failed")
        frames += _all_told(server, socket, client, submit(server, quick(2), client_id=client)["id"])
    assert _end_of(frames, job_id) == [word, "end"]


def _out_of_memory(times: int, key: str) -> dict[str, Any]:
    """The picture node before it is what stays in ComfyUI's cache."""
    size = {"width": 16, "height": 16, "batch_size": 1, "color": 5}
    return {
        "1": {"class_type": "EmptyImage", "inputs": size},
        "2": {
            "class_type": "ExpeditorTestSleepy",
            "inputs": {"seconds": 0.0, "steps": 1, "salt": 77, "image": ["1", 0]},
        },
        "3": {"class_type": "ExpeditorTestOutOfMemory", "inputs": {"times": times, "key": key}},
    }


def test_a_job_that_runs_again_in_place_tells_its_last_attempt_alone(server: RealComfyUI, client: str):
    with SocketReader(server, client) as socket:
        job_id = submit(server, _out_of_memory(1, "in-place"), client_id=client)["id"]
        frames = _all_told(server, socket, client, job_id)
    assert _end_of(frames, job_id) == ["execution_success", "end"]
    ended = job(server, job_id)
    assert [attempt["outcome"] for attempt in ended["attempts"]] == ["failed", "succeeded"]
    entry = _history(server, job_id)
    assert entry is not None
    assert entry["status"]["status_str"] == "success"
    assert "execution_error" not in [message[0] for message in entry["status"]["messages"]]
    assert entry["outputs"]["3"] == {"runs": [2]}


def test_a_job_that_waits_for_its_next_attempt_is_pending_and_tells_its_last_alone(server: RealComfyUI, client: str):
    with SocketReader(server, client) as socket:
        job_id = submit(server, _raises(2, "later", "ConnectionError"), client_id=client)["id"]
        frames = _all_told(server, socket, client, job_id)
    assert _end_of(frames, job_id) == ["execution_success", "end"]
    assert [attempt["outcome"] for attempt in job(server, job_id)["attempts"]] == ["failed", "failed", "succeeded"]
    counts = [frame.data["status"]["exec_info"]["queue_remaining"] for frame in frames if frame.kind == "status"]
    ended_at = next(index for index, frame in enumerate(frames) if frame.kind == "execution_success")
    before = [frame for frame in frames[:ended_at] if frame.kind == "status"]
    assert all(frame.data["status"]["exec_info"]["queue_remaining"] >= 1 for frame in before[1:]), counts


def test_a_job_cancelled_between_two_attempts(server: RealComfyUI, client: str):
    with SocketReader(server, client) as socket:
        job_id = submit(server, _raises(99, "between", "ConnectionError"), client_id=client, priority=1)["id"]
        wait_until(lambda: len(job(server, job_id)["attempts"]) >= 1, what="an attempt")
        server.post(f"/expeditor/jobs/{job_id}/cancel")
        frames = _all_told(server, socket, client, job_id)
    ends = _end_of(frames, job_id)
    assert len(ends) == 2
    assert ends[1] == "end"
    assert until_ended(server, job_id)["status"] in ("canceled", "failed")
    assert job_id not in [item[1] for item in server.get("/queue").json()["queue_pending"]]


def test_after_the_last_attempt_the_error_is_told(server: RealComfyUI, client: str):
    with SocketReader(server, client) as socket:
        job_id = submit(server, _out_of_memory(99, "never"), client_id=client)["id"]
        frames = _all_told(server, socket, client, job_id)
    assert _end_of(frames, job_id) == ["execution_error", "end"]
    assert job(server, job_id)["cause"] == "OUT_OF_MEMORY"
    assert len(job(server, job_id)["attempts"]) > 1


@pytest.mark.parametrize("route", ["ours", "stock", "clear"])
def test_a_job_cancelled_while_it_waits(server: RealComfyUI, client: str, route: str):
    gate = f"cancelled-{route}"
    occupy(server, gate)
    with SocketReader(server, client) as socket:
        doomed = submit(server, quick(3), client_id=client)["id"]
        if route == "ours":
            assert server.post(f"/expeditor/jobs/{doomed}/cancel").status_code == 200
        else:
            body = {"delete": [doomed]} if route == "stock" else {"clear": True}
            assert server.post("/queue", json=body).status_code == 200
        heard = _until_end(socket, doomed)
        assert job(server, doomed)["status"] == "canceled"
        assert doomed not in [item[1] for item in server.get("/queue").json()["queue_pending"]]
        open_gate(server, gate)
        last = submit(server, quick(4), client_id=client)["id"]
        heard += _until_end(socket, last)
    assert _end_of(heard, doomed) == ["execution_interrupted", "end"]
    entry = _history(server, doomed)
    if route == "ours":
        assert entry is not None
        assert entry["status"]["status_str"] == "error"
        assert [message[0] for message in entry["status"]["messages"]] == ["execution_interrupted"]
        assert entry["prompt"][2] == quick(3)
    else:
        assert entry is None, "as on stock, what is deleted leaves no trace"


def test_a_job_that_expires_while_it_waits(server: RealComfyUI, client: str):
    occupy(server, "expires")
    with SocketReader(server, client) as socket:
        late = submit(server, quick(8), client_id=client, expires_in_s=1)["id"]
        heard = _until_end(socket, late)
        assert job(server, late)["status"] == "expired"
        open_gate(server, "expires")
        heard += _until_end(socket, submit(server, quick(9), client_id=client)["id"])
    assert _end_of(heard, late) == ["execution_error", "end"]
    entry = _history(server, late)
    assert entry is not None
    assert entry["status"]["messages"][0][1]["exception_type"] == "EXPIRED"


def test_a_running_job_that_is_cancelled(server: RealComfyUI, client: str):
    with SocketReader(server, client) as socket:
        doomed = submit(server, gate_prompt("never-opened"), client_id=client)["id"]
        until_status(server, doomed, "running")
        server.post(f"/expeditor/jobs/{doomed}/cancel")
        frames = _all_told(server, socket, client, doomed)
    assert _end_of(frames, doomed) == ["execution_interrupted", "end"]


def test_a_page_that_shows_a_run_hears_of_its_other_job_when_that_is_over(server: RealComfyUI, client: str):
    with SocketReader(server, client, {"supports_preview_metadata": True}) as page:
        shown = submit(server, gate_prompt("shown"), client_id=client)["id"]
        until_status(server, shown, "running")
        doomed = submit(server, quick(5), client_id=client)["id"]
        server.post(f"/expeditor/jobs/{doomed}/cancel")
        until_status(server, doomed, "canceled")
        open_gate(server, "shown")
        frames = _until_end(page, doomed)
    ends = [(frame.kind, frame.data["prompt_id"]) for frame in frames if frame.kind in LAST_WORDS or _is_end(frame)]
    assert ends == [
        ("execution_success", shown),
        ("executing", shown),
        ("execution_interrupted", doomed),
        ("executing", doomed),
    ]


def _is_end(frame: Frame) -> bool:
    return frame.kind == "executing" and frame.ends_prompt


def test_a_client_that_was_away_is_told_when_it_comes_back(server: RealComfyUI, client: str):
    occupy(server, "away")
    doomed = submit(server, quick(6), client_id=client)["id"]
    server.post(f"/expeditor/jobs/{doomed}/cancel")
    with SocketReader(server, client) as socket:
        heard = _until_end(socket, doomed)
    assert _end_of(heard, doomed) == ["execution_interrupted", "end"]
    with SocketReader(server, client) as socket:
        last = submit(server, gate_prompt("away"), client_id=client)["id"]
        open_gate(server, "away")
        assert _end_of(_until_end(socket, last), doomed) == [], "told once"


def test_jobs_that_run_again_after_a_kill_and_one_whose_nodes_are_gone(client: str):
    with RealComfyUI(packs=[TEST_NODES]) as server:
        checkpoint = server.base / "models/checkpoints/gone.safetensors"
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.touch()
        loader = {
            "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint.name}},
            "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
        }
        image = {
            "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 7}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "again"}},
        }
        held = submit(server, gate_prompt("again"), priority=10, client_id=client)["id"]
        until_status(server, held, "running")
        model = submit(server, loader, priority=9, client_id=client)["id"]
        node = submit(server, quick(7), priority=8, client_id=client)["id"]
        good = submit(server, image, priority=1, client_id=client)["id"]
        server.kill()
        checkpoint.unlink()
        (server.base / "custom_nodes" / TEST_NODES.name).unlink()
        server.start()
        with SocketReader(server, client) as socket:
            frames = _until_end(socket, good)
        assert _end_of(frames, good)[-2:] == ["execution_success", "end"]
        for job_id, cause, word in (
            (held, "NODE_ERROR", "ExpeditorTestGate is no longer installed"),
            (model, "MODEL_MISSING", "gone.safetensors"),
            (node, "NODE_ERROR", "ExpeditorTestSleepy is no longer installed"),
        ):
            assert _end_of(frames, job_id) == ["execution_error", "end"]
            failed = job(server, job_id)
            assert (failed["status"], failed["cause"]) == ("failed", cause)
            assert word in failed["error"]["message"]
            entry = _history(server, job_id)
            assert entry is not None
            assert entry["status"]["messages"][0][1]["exception_message"] == failed["error"]["message"]
        assert until_ended(server, good)["status"] == "succeeded"


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")
def test_while_the_store_is_away_nothing_is_told_and_nothing_is_over(client: str):
    with RealComfyUI(packs=[TEST_NODES]) as server, SocketReader(server, client) as socket:
        for salt in range(12):
            submit(server, quick(salt), extra_data={"padding": "x" * 60_000})
        held = submit(server, gate_prompt("owed"), client_id=client)["id"]
        running(server, held)
        with disk_full(server):
            fill(server)
            open_gate(server, "owed")
            wait_until(lambda: "could not be stored yet" in server.log_text(), what="the end of the run")
            assert [item[1] for item in server.get("/queue").json()["queue_running"]] == [held]
            assert _history(server, held) is None
            assert job(server, held)["status"] == "running"
        frames = _all_told(server, socket, client, held)
        assert _history(server, held) is not None
        assert _end_of(frames, held) == ["execution_success", "end"]
        assert job(server, held)["attempt"] == 1
