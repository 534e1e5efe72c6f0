"""The page stays whole: what is submitted to one instance and run by another looks to its clients as if it had run at home.

Two real ComfyUIs on one real Redis: `a` accepts and runs nothing, `b` runs; the same prompt on a server that stands alone is what it is
compared with.
"""

from __future__ import annotations

import json
import os
import uuid
from typing import Any

import pytest

from tests.host.socket_reader import Frame, SocketReader
from tests.host.stream_reader import Reader
from tests.host.waiting_nodes import picking
from tests.support.cluster import TEST_NODES, cluster_of_module
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

PAGE = {"supports_preview_metadata": True}
SEED = {"PYTHONHASHSEED": "0"}
LIVE = {"timestamp", "prompt_id"}


@pytest.fixture(scope="module")
def cluster(request):
    yield from cluster_of_module(request, roles=(["api"], ["worker"]), shared_env=SEED)


@pytest.fixture(scope="module")
def alone():
    with RealComfyUI(packs=[TEST_NODES], env=SEED) as server:
        yield server


def sleepy(salt: int = 0, seconds: float = 0.2, steps: int = 2, preview: bool = False) -> dict[str, Any]:
    inputs = {"seconds": seconds, "steps": steps, "salt": salt, "preview": preview}
    return {"1": {"class_type": "ExpeditorTestSleepy", "inputs": inputs}}


def picture(value: int) -> dict[str, Any]:
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": value}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "cats/x"}},
    }


def fails_with(error: str) -> dict[str, Any]:
    return {"1": {"class_type": "ExpeditorTestRaises", "inputs": {"error": error, "text": "no"}}}


def submit(server: RealComfyUI, prompt: dict[str, Any], client_id: str) -> str:
    answer = server.post("/prompt", json={"prompt": prompt, "client_id": client_id})
    assert answer.status_code == 200, answer.text
    return answer.json()["prompt_id"]


def told(server: RealComfyUI, prompt: dict[str, Any], flags: dict[str, Any] | None = None) -> tuple[str, list[Frame]]:
    """The prompt's id and what its client heard of it, up to the mark that it is over."""
    client = uuid.uuid4().hex
    with SocketReader(server, client, flags) as reader:
        prompt_id = submit(server, prompt, client)
        frames = reader.until(lambda frame: frame.ends_prompt)
    return prompt_id, [frame for frame in frames if frame.kind not in ("status", "feature_flags", "expeditor.event")]


def kinds(frames: list[Frame]) -> list[str]:
    return [frame.kind for frame in frames]


def plain(value: Any) -> Any:
    """Without what differs between any two runs."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if key not in LIVE}
    return [plain(each) for each in value] if isinstance(value, list) else value


def history(server: RealComfyUI, prompt_id: str) -> dict[str, Any]:
    return wait_until(lambda: server.get(f"/history/{prompt_id}").json())[prompt_id]


def job(server: RealComfyUI, prompt_id: str) -> dict[str, Any]:
    return server.get(f"/expeditor/jobs/{prompt_id}").json()


def test_every_message_comes_in_the_same_order_with_the_same_fields(cluster, alone):
    prompt = sleepy(1)
    here_id, here = told(alone, prompt)
    away_id, away = told(cluster.a, prompt)
    assert kinds(away) == kinds(here)
    assert [plain(frame.data) for frame in away] == [plain(frame.data) for frame in here]
    assert job(cluster.b, away_id)["instance"] == "gpu2"
    mine, theirs = history(cluster.a, away_id), history(alone, here_id)
    assert plain(mine["outputs"]) == plain(theirs["outputs"])
    assert plain(mine["status"]) == plain(theirs["status"])
    assert cluster.b.get(f"/history/{away_id}").json() == {}
    assert job(cluster.a, away_id)["status"] == job(cluster.b, away_id)["status"] == "succeeded"


def test_previews_and_an_error_and_a_cached_run(cluster, alone):
    _, frames = told(cluster.a, sleepy(2, seconds=1.0, steps=4, preview=True), PAGE)
    assert "binary 4" in kinds(frames)
    _, frames = told(cluster.a, sleepy(3, seconds=1.0, steps=4, preview=True))
    assert "binary 1" in kinds(frames)
    for prompt in (fails_with("ValueError"), sleepy(1)):
        _, here = told(alone, prompt)
        _, away = told(cluster.a, prompt)
        assert kinds(away) == kinds(here)


def test_a_picture_is_shown_under_the_name_that_it_has_at_home(cluster):
    prompt_id, frames = told(cluster.a, picture(5))
    shown = next(frame.data["output"]["images"][0] for frame in frames if frame.kind == "executed")
    assert shown["subfolder"] == "gpu2/cats"
    assert cluster.a.get("/view", params=shown).status_code == 200
    assert history(cluster.a, prompt_id)["outputs"]["2"]["images"] == [shown]


@pytest.mark.parametrize("way", ["cancel", "cancel at b", "interrupt", "interrupt all"])
def test_a_run_elsewhere_is_stopped_from_here(cluster, way):
    client = uuid.uuid4().hex
    with SocketReader(cluster.a, client) as reader:
        prompt_id = submit(cluster.a, sleepy(9, seconds=60.0, steps=600), client)
        reader.until(lambda frame: frame.kind == "executing")
        running = cluster.a.get("/queue").json()
        assert [item[1] for item in running["queue_running"]] == [prompt_id]
        assert cluster.a.get("/prompt").json()["exec_info"]["queue_remaining"] == 1
        if way.startswith("cancel"):
            server = cluster.b if way.endswith("b") else cluster.a
            assert server.post(f"/expeditor/jobs/{prompt_id}/cancel").status_code == 200
        else:
            body = {"prompt_id": prompt_id} if way == "interrupt" else {}
            assert cluster.a.post("/interrupt", json=body).status_code == 200
        frames = reader.until(lambda frame: frame.ends_prompt)
    ends = [frame.kind for frame in frames if frame.kind.startswith("execution_")]
    assert ends == ["execution_interrupted"]
    assert job(cluster.a, prompt_id)["status"] == "canceled"
    assert cluster.a.get("/queue").json() == {"queue_running": [], "queue_pending": []}


def test_each_lists_its_own_and_what_it_runs(cluster):
    gate = {"1": {"class_type": "ExpeditorTestGate", "inputs": {"name": f"gate-{os.getpid()}"}}}
    first = submit(cluster.a, gate, "ada")
    second = submit(cluster.a, sleepy(11), "ada")
    wait_until(lambda: cluster.a.get("/queue").json()["queue_running"])
    listed = cluster.a.get("/queue").json()
    assert [[item[1] for item in listed[name]] for name in ("queue_running", "queue_pending")] == [[first], [second]]
    assert [item[1] for item in cluster.b.get("/queue").json()["queue_running"]] == [first]
    assert cluster.b.get("/queue").json()["queue_pending"] == []
    assert cluster.a.post("/queue", json={"delete": [second]}).status_code == 200
    assert cluster.a.get("/queue").json()["queue_pending"] == []
    (cluster.b.base / "input" / f"gate-{os.getpid()}").touch()
    assert json.dumps(history(cluster.a, first)["status"]["completed"]) == "true"
    assert cluster.a.get(f"/history/{second}").json() == {}
    assert job(cluster.b, second)["status"] == "canceled"


def test_a_node_that_waits_at_b_is_listed_and_answered_at_a(cluster):
    prompt = {
        "7": {
            "class_type": "WaitForMessage",
            "inputs": {"label": "Which?", "timeout_s": 90, "default_message": "nobody", "on_timeout": "fail"},
        },
        "8": {"class_type": "PreviewAny", "inputs": {"source": ["7", 0]}},
    }
    prompt_id = submit(cluster.a, prompt, "ada")
    pending = wait_until(lambda: cluster.a.get("/expeditor/messages/pending").json()["pending"], what="the question")
    assert [(wait["prompt_id"], wait["node_id"], wait["label"]) for wait in pending] == [(prompt_id, "7", "Which?")]
    assert cluster.b.get("/expeditor/messages/pending").json()["pending"] == pending
    answer = {"message": "heron é", "node_id": "7", "prompt_id": prompt_id}
    assert cluster.a.post("/expeditor/messages", data=answer).status_code == 200
    assert history(cluster.a, prompt_id)["outputs"]["8"]["text"] == ["heron é"]
    assert cluster.a.post("/expeditor/messages", data=answer).status_code == 410
    assert cluster.a.get("/expeditor/messages/pending").json()["pending"] == []


def test_pictures_of_a_node_that_waits_at_b_are_seen_and_chosen_at_a(cluster):
    prompt_id = submit(cluster.a, picking("picked/x"), "ada")
    (wait,) = wait_until(lambda: cluster.a.get("/expeditor/messages/pending").json()["pending"], what="the question")
    assert (wait["kind"], len(wait["images"])) == ("pick", 4)
    found = [[server.get(image["url"]) for image in wait["images"]] for server in (cluster.a, cluster.b)]
    assert [each.content for each in found[0]] == [each.content for each in found[1]]
    assert {each.headers["Content-Type"] for each in found[0]} == {"image/jpeg"}
    assert len({each.content for each in found[0]}) == 4
    answer = {"message": "0,1,2", "node_id": "7", "token": wait["token"]}
    refused = cluster.a.post("/expeditor/messages", data=answer)
    assert (refused.status_code, refused.json()["error"]["errors"][0]["pointer"]) == (422, "/message")
    assert cluster.a.post("/expeditor/messages", data={**answer, "message": "3,0"}).status_code == 200
    assert history(cluster.a, prompt_id)["outputs"]["21"]["text"] == ["3,0"]
    wait_until(lambda: cluster.a.get(wait["images"][0]["url"]).status_code == 410, what="no more pictures")


def test_a_stream_at_a_tells_the_progress_of_a_run_at_b(cluster):
    prompt_id = submit(cluster.a, sleepy(21, seconds=4.0, steps=40, preview=True), "ada")
    streams = [Reader(server, f"/expeditor/jobs/{prompt_id}/events") for server in (cluster.a, cluster.b)]
    for told in (stream.all() for stream in streams):
        values = [event["progress"]["value"] for event in told if event["type"] == "job.progress"]
        assert values == sorted(values)
        assert len(values) >= 2
        assert any(event["type"] == "job.preview" for event in told)
        kept = [event["type"] for event in told if "number" in event]
        assert kept == ["job.queued", "job.started", "job.succeeded"]


def test_the_comfy_api_v2_answers_alike_at_both(cluster):
    done_id, failed_id = submit(cluster.a, picture(31), "ada"), submit(cluster.a, fails_with("TypeError"), "ada")
    for prompt_id in (done_id, failed_id):
        history(cluster.a, prompt_id)
        mine, theirs = (server.get(f"/api/v2/jobs/{prompt_id}").json() for server in (cluster.a, cluster.b))
        assert json.dumps(mine).replace(cluster.a.url, "") == json.dumps(theirs).replace(cluster.b.url, "")
    assert cluster.a.get(f"/api/v2/jobs/{failed_id}").json()["status"] == "failed"
    (output,) = cluster.a.get(f"/api/v2/jobs/{done_id}").json()["outputs"]
    mine, theirs = (server.get(f"/api/v2/assets/{output['id']}/content") for server in (cluster.a, cluster.b))
    assert mine.content == theirs.content
    assert mine.content.startswith(b"\x89PNG")


def test_a_starts_again_while_b_runs_its_job(cluster):
    gate = {"1": {"class_type": "ExpeditorTestGate", "inputs": {"name": f"again-{os.getpid()}"}}}
    running, waiting = submit(cluster.a, gate, "ada"), submit(cluster.a, sleepy(41), "ada")
    wait_until(lambda: cluster.a.get("/queue").json()["queue_running"], what="the run at b")
    before = set(cluster.a.get("/history").json())
    assert before

    cluster.a.restart()

    listed = wait_until(lambda: (found := cluster.a.get("/queue").json())["queue_running"] and found, what="the list")
    assert [[item[1] for item in listed[name]] for name in ("queue_running", "queue_pending")] == [[running], [waiting]]
    assert set(cluster.a.get("/history").json()) == before
    (cluster.b.base / "input" / f"again-{os.getpid()}").touch()
    for prompt_id in (running, waiting):
        assert history(cluster.a, prompt_id)["status"]["status_str"] == "success"
        assert job(cluster.a, prompt_id)["attempt"] == 1
    assert cluster.a.get("/queue").json() == {"queue_running": [], "queue_pending": []}
    assert cluster.b.get("/history").json() == {}
