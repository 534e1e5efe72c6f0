"""One call that ends in an answer, on a real ComfyUI: held submits, the bytes of outputs, results from the cache."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from PIL import Image

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


# -- with the input files in the same call ---------------------------------------------------------------------------


def drawn(color: tuple[int, int, int]) -> bytes:
    """A small PNG of one color."""
    file = io.BytesIO()
    Image.new("RGB", (24, 16), color).save(file, "PNG")
    return file.getvalue()


def inverts(image: str) -> dict:
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": image}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "inverted"}},
    }


def inputs_of(server: RealComfyUI) -> set[str]:
    return {path.name for path in (server.base / "input").iterdir()}


@pytest.mark.parametrize("part", ["files", "file:1.image"])
def test_a_picture_goes_in_and_another_comes_out(server, part):
    before, image = inputs_of(server), "cat.png" if part == "files" else "whatever.png"
    color = (10, 20, 30) if part == "files" else (30, 20, 10)
    body = {"data": {"prompt": json.dumps(inverts(image))}, "files": {part: ("cat.png", drawn(color))}}
    answer = server.post("/expeditor/submit?wait_s=60", **body)
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded"), answer.text
    with Image.open(io.BytesIO(bytes_of(answer.json()["outputs"][0]).content)) as picture:
        assert (picture.size, picture.convert("RGB").getpixel((0, 0))) == ((24, 16), tuple(255 - x for x in color))
    assert len(inputs_of(server) - before) == 1
    again = server.post("/expeditor/submit?wait_s=60", **body).json()
    assert [output["cached"] for output in again["outputs"]] == [True], "the same bytes are the same input"


@pytest.mark.parametrize(
    ("prompt", "content", "status"),
    [
        pytest.param(inverts("cat.png"), b"no picture", 200, id="it fails in the run"),
        pytest.param(
            {**inverts("cat.png"), "4": {"class_type": "Nothing", "inputs": {}}}, b"x", 422, id="refused by us"
        ),
        pytest.param({**inverts("cat.png"), "5": inverts("missing.png")["1"]}, b"x", 422, id="refused by ComfyUI"),
    ],
)
def test_a_refused_submit_leaves_no_file(server, prompt, content, status):
    if status == 422:
        prompt["3"]["inputs"]["images"] = ["5" if "5" in prompt else "2", 0]
    before = inputs_of(server)
    answer = server.post(
        "/expeditor/submit?wait_s=60",
        data={"prompt": json.dumps(prompt)},
        files={"files": ("cat.png", content + str(status).encode())},
    )
    assert answer.status_code == status, answer.text
    assert len(inputs_of(server) - before) == (1 if status == 200 else 0)


def test_an_upload_that_breaks_off_leaves_nothing(server):
    before = inputs_of(server)
    head = (
        f"POST /expeditor/submit HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 9000000\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="files"; filename="cat.png"\r\n\r\n'
    )
    (staging,) = {path.parent for path in (server.base / "user").rglob("expeditor.sqlite3")}
    with socket.create_connection(("127.0.0.1", server.port)) as half:
        half.sendall(head.encode() + b"x" * 1_000_000)
        wait_until(lambda: list((staging / "uploads").glob("*.part")), 30, what="the file to be begun")
    wait_until(lambda: not list((staging / "uploads").iterdir()), 30, what="it to be removed")
    assert inputs_of(server) == before
