"""One call that ends in an answer, on a real ComfyUI: held submits, the bytes of outputs, results from the cache."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.host.jobs_client import job, occupy, quick, submit, until_ended, until_status
from tests.host.stock_walk import gate_prompt, open_gate
from tests.support.comfy_server import ROOT, RealComfyUI
from tests.support.waiting import wait_until

PACK = ROOT / "tests/support/packs/expeditor_test_nodes"
PNG = b"\x89PNG\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[PACK]) as started:
        yield started


def picture(color: int, node: str = "SaveImage") -> dict:
    """A prompt that makes one small picture of a color."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": color}},
        "2": {"class_type": node, "inputs": {"images": ["1", 0]}},
    }


def bytes_of(output: dict, **options) -> requests.Response:
    return requests.get(output["url"], timeout=30, **options)


def test_one_call_makes_a_picture_and_a_second_one_fetches_it(server):
    answer = server.post("/expeditor/submit?wait_s=60", json={"prompt": picture(1)})
    ended = answer.json()
    assert (answer.status_code, ended["status"]) == (200, "succeeded"), answer.text
    (output,) = ended["outputs"]
    assert (output["cached"], ended["cached"], output["type"]) == (False, False, "image")
    whole = bytes_of(output)
    assert (whole.status_code, whole.content[:6], len(whole.content)) == (200, PNG, output["size_bytes"])
    assert whole.content == requests.get(output["view_url"], timeout=30).content
    part = bytes_of(output, headers={"Range": "bytes=0-5"})
    assert (part.status_code, part.content) == (206, PNG)
    under_api = server.get(f"/api/expeditor/jobs/{ended['id']}/outputs/0")
    assert under_api.content == whole.content


@pytest.mark.parametrize("node", ["SaveImage", "PreviewImage"])
def test_what_the_cache_gave_is_said_so(server, node):
    first, second = [
        server.post("/expeditor/submit?wait_s=60", json={"prompt": picture(7, node)}).json() for _ in range(2)
    ]
    assert [output["cached"] for output in first["outputs"]] == [False]
    assert (second["status"], second["cached"]) == ("succeeded", True)
    assert [output["cached"] for output in second["outputs"]] == [True]
    assert second["outputs"][0]["name"] == first["outputs"][0]["name"]
    assert bytes_of(second["outputs"][0]).content == bytes_of(first["outputs"][0]).content


def test_a_prompt_that_shares_a_part_tells_which_output_is_old(server):
    server.post("/expeditor/submit?wait_s=60", json={"prompt": picture(9)})
    prompt = picture(9)
    prompt["3"] = {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}}
    prompt["4"] = {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}}
    ended = server.post("/expeditor/submit?wait_s=60", json={"prompt": prompt}).json()
    assert {output["node_id"]: output["cached"] for output in ended["outputs"]} == {"2": True, "4": False}
    assert ended["cached"] is False


def test_a_job_that_fails_is_an_answer_too(server):
    prompt = {"1": {"class_type": "ExpeditorTestRaises", "inputs": {}}}
    answer = server.post("/expeditor/submit?wait_s=60", json={"prompt": prompt})
    assert (answer.status_code, answer.json()["status"], answer.json()["cause"]) == (200, "failed", "NODE_ERROR")


def test_a_held_request_stands_in_nobodys_way(server):
    gate = occupy(server, "one-call")
    waiting: list[requests.Response] = []
    threads = [
        threading.Thread(
            target=lambda: waiting.append(server.get(f"/expeditor/jobs/{gate}?wait_s=60")),
        )
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    behind = server.post("/expeditor/submit?wait_s=0.2", json={"prompt": quick(1)})
    assert (behind.status_code, behind.json()["status"]) == (202, "queued")
    assert int(behind.headers["Retry-After"]) >= 1
    assert server.get("/expeditor/queue").json()["running"] == 1
    open_gate(server, "one-call")
    for thread in threads:
        thread.join(60)
    assert [(answer.status_code, answer.json()["status"]) for answer in waiting] == [(200, "succeeded")] * 10
    assert until_ended(server, behind.json()["id"])["status"] == "succeeded"


def test_a_client_that_goes_away_leaves_its_job(server):
    gate = occupy(server, "gone")
    with pytest.raises(requests.Timeout):
        server.post("/expeditor/submit?wait_s=60", json={"prompt": quick(2), "prompt_id": GONE}, timeout=1, headers={})
    assert job(server, GONE)["status"] == "queued"
    open_gate(server, "gone")
    assert until_ended(server, GONE)["status"] == "succeeded"
    assert until_ended(server, gate)["status"] == "succeeded"


GONE = "0b8f9c1e-0000-4000-8000-00000000abcd"


def test_a_server_that_stops_lets_held_requests_go_and_keeps_their_job(tmp_path: Path):
    with RealComfyUI(packs=[PACK]) as server:
        held_job = submit(server, gate_prompt("stop"))["id"]
        until_status(server, held_job, "running")
        ends: list[str] = []

        def hold() -> None:
            try:
                ends.append(str(server.get(f"/expeditor/jobs/{held_job}?wait_s=300").status_code))
            except requests.ConnectionError:
                ends.append("cut off")

        thread = threading.Thread(target=hold)
        thread.start()
        wait_until(lambda: server.get("/expeditor/queue").ok, 30, what="an answer beside the held one")
        server.terminate()
        thread.join(30)
        assert ends == ["cut off"]
        server.start()
        open_gate(server, "stop")
        ended = server.get(f"/expeditor/jobs/{held_job}?wait_s=60")
        assert (ended.status_code, ended.json()["status"]) == (200, "succeeded")
