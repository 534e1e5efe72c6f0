"""Assets by the official Python SDK, unmodified, against a real ComfyUI: uploads, dedup, chaining, deletion, a restart in between."""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from comfy_sdk import Comfy
from comfy_sdk.exceptions import ComfyError, NotFound
from PIL import Image

from tests.host.stock_walk import TEST_NODES, gate_prompt, image_prompt, open_gate
from tests.support.comfy_sdk import Contract, sdist
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

SALTS = itertools.count(1)
PLENTY_S = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES]) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: RealComfyUI) -> Iterator[Comfy]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMFY_BASE_URL", server.url)
        patch.delenv("COMFY_API_KEY", raising=False)
        with Comfy() as made:
            yield made


def picture(size: int = 16) -> bytes:
    """A PNG that no other test has."""
    file = io.BytesIO()
    Image.new("RGB", (size, size), (next(SALTS) % 256, size % 256, 7)).save(file, "PNG")
    return file.getvalue()


def inverted(image: object) -> dict:
    """Loads a picture, inverts it, saves it."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": image}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"filename_prefix": f"inverted/{next(SALTS)}", "images": ["2", 0]}},
    }


def run(client: Comfy, image: object):
    """The job that inverts `image`, once it has succeeded."""
    workflow = client.workflows.from_json(inverted("nothing.png"))
    workflow.set_input("1", "image", image)
    return client.run(workflow)


def size_of(data: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(data)).size


def test_an_upload_is_sent_once_and_runs_in_a_graph(client, server, tmp_path):
    path = tmp_path / "f\u00fcr dich.png"
    path.write_bytes(picture(21))
    first, again = client.assets.from_file(path), client.assets.from_bytes(path.read_bytes(), filename=path.name)
    first.commit()
    assert first.created_new
    assert again.commit() == first.commit()
    assert again.created_new is False
    assert server.get(f"/api/v2/assets/{first.id}/content").content == path.read_bytes()
    job = run(client, first)
    assert job.status == "succeeded"
    assert size_of(job.outputs[0].to_bytes()) == (21, 21)


def test_the_plain_name_of_an_upload_runs_in_a_graph(client, server):
    (server.base / "input" / "taken.png").write_bytes(picture(8))
    for name in ("free.png", "taken.png"):
        client.assets.from_bytes(picture(33), filename=name).commit()
        assert size_of(run(client, name).outputs[0].to_bytes()) == (33, 33)


def test_an_output_is_the_next_jobs_input(client, server):
    (output,) = run(client, client.assets.from_bytes(picture(19), filename="chain.png")).outputs
    asset = client.assets.get(output.id)
    assert asset.job_id
    (second,) = run(client, asset).outputs
    assert size_of(second.to_bytes()) == (19, 19)
    preview = {"1": {"class_type": "LoadImage", "inputs": {"image": "free.png"}}}
    preview["2"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    client.assets.from_bytes(picture(11), filename="free.png").commit()
    shown = client.run(client.workflows.from_json(preview))
    assert run(client, client.assets.get(shown.outputs[0].id)).status == "succeeded", "out of temp too"


def test_ranges_of_an_output(client):
    (output,) = run(client, client.assets.from_bytes(picture(9), filename="range.png")).outputs
    whole = output.to_bytes()
    assert output.to_bytes(range=(1, 4)) == whole[1:5]
    assert len(whole) == output.size_bytes
    with pytest.raises(ComfyError) as refused:
        output.to_bytes(range=(len(whole), len(whole) + 1))
    assert refused.value.http_status == 416


def test_an_asset_that_a_waiting_job_needs_is_not_deleted_also_after_a_restart(client, server):
    gate = f"gate-{next(SALTS)}"
    output_before = client.run(client.workflows.from_json(image_prompt(next(SALTS)))).outputs[0]
    holder = client.submit(client.workflows.from_json(gate_prompt(gate)))
    wait_until(lambda: client.jobs.get(holder.id).status == "running", what="the gate's job to run")
    asset = client.assets.from_bytes(picture(13), filename=f"{gate}.png")
    workflow = client.workflows.from_json(inverted("nothing.png"))
    workflow.set_input("1", "image", asset)
    waiting = client.submit(workflow)
    with pytest.raises(ComfyError) as refused:
        asset.delete()
    assert (refused.value.http_status, refused.value.code) == (409, "asset_in_use")
    parts = server.base / "input" / ".expeditor-uploads"
    (parts / "half.part").write_bytes(b"what a process that died had received")
    server.restart()
    wait_until(lambda: not list(parts.iterdir()), what="half an upload to be removed")
    with pytest.raises(ComfyError) as refused:
        asset.delete()
    assert refused.value.code == "asset_in_use"
    open_gate(server, gate)
    job = client.jobs.get(waiting.id).wait(PLENTY_S)
    assert job.status == "succeeded"
    assert size_of(job.outputs[0].to_bytes()) == (13, 13)
    asset.delete()
    assert not (server.base / "input" / f"{gate}.png").exists()
    assert client.assets.get(output_before.id).job_id, "outputs of an earlier start are known"
    with pytest.raises(NotFound):
        client.assets.get("00000000-0000-4000-8000-000000000000")


def test_the_sdks_own_live_test(server, tmp_path):
    test = sdist() / "tests" / "integration" / "test_gateway_e2e.py"
    options = ["-q", "--noconftest", "-rA", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", "-c", os.devnull]
    env = {**os.environ, "COMFY_BASE_URL": server.url, "COMFY_API_KEY": "no-token-is-asked-for"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(test)],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    # The last one is marked as not yet served by the hosted service: graphs that name an asset by its id.
    assert "3 passed" in done.stdout
    assert "1 xpassed" in done.stdout


def test_answers_are_those_of_the_contract(server):
    contract, data = Contract.of_sdk(), picture(17)

    def judged(method: str, path: str, known_as: str, status: int, **options):
        answer = server.request(method, f"/api/v2/assets{path}", **options)
        assert answer.status_code == status, answer.text
        assert contract.faults(method, f"/api/v2/assets{known_as}", status, answer.json()) == []
        return answer.json()

    texts = {"content_type": "image/png", "file_path": "judged.png"}
    made = judged("POST", "", "", 201, data=texts, files={"file": data})
    again = judged("POST", "", "", 200, data=texts, files={"file": data})
    assert again["id"] == made["id"]
    judged("POST", "", "", 409, data={**texts, "expected_hash": "blake3:" + "0" * 64}, files={"file": data})
    judged("POST", "", "", 422, data={**texts, "file_path": "../x"}, files={"file": data})
    judged("POST", "/from-hash", "/from-hash", 200, json={"hash": made["hash"], "file_path": "judged.png"})
    judged(
        "POST", "/from-hash", "/from-hash", 201, json={"hash": made["hash"], "file_path": "other.png", "expires_in": 60}
    )
    judged("POST", "/from-hash", "/from-hash", 404, json={"hash": "blake3:" + "0" * 64})
    judged("GET", f"/{made['id']}", "/{id}", 200)
    judged("GET", "/nothing", "/{id}", 404)
    judged("DELETE", "/nothing", "/{id}", 404)
    judged("GET", "/nothing/content", "/{id}/content", 404)
    assert server.request("DELETE", f"/api/v2/assets/{made['id']}").status_code == 204
