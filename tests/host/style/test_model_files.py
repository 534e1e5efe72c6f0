"""Model files in a real ComfyUI: they appear in the node's list, paint, and are refused in words when they are bad or gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import yaml

from tests.host.jobs_client import submit, until_ended
from tests.host.style.literal_nets import Adaptive, TransformerNet, shaken
from tests.support.comfy_server import RealComfyUI


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealComfyUI]:
    """A ComfyUI with a model folder of its own and one that extra_model_paths.yaml names."""
    data, elsewhere = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("elsewhere")
    own = data / "models/style_transfer"
    own.mkdir(parents=True)
    torch.manual_seed(2)
    torch.save(shaken(TransformerNet()).state_dict(), own / "candy.pth")
    safetensors.torch.save_file(Adaptive().state_dict(), elsewhere / "adain.safetensors")
    (own / "notes.pth").write_bytes(b"no model")
    paths = data / "paths.yaml"
    paths.write_text(yaml.safe_dump({"mine": {"style_transfer": str(elsewhere)}}), encoding="utf-8")
    with RealComfyUI(data_dir=data, args=["--extra-model-paths-config", str(paths)]) as running:
        yield running


def prompt(style: str, **inputs: Any) -> dict[str, Any]:
    image = {"class_type": "EmptyImage", "inputs": {"width": 96, "height": 64, "batch_size": 2, "color": 0x4080C0}}
    paint = {
        "class_type": "StyleTransferNode",
        "inputs": {"image": ["1", 0], "style": style, "intensity": 1.0, **inputs},
    }
    return {"1": image, "2": paint, "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}}}


def styles(server: RealComfyUI) -> list[str]:
    declared = server.get("/object_info/StyleTransferNode").json()["StyleTransferNode"]["input"]["required"]["style"]
    return declared[1]["options"] if declared[0] == "COMBO" else declared[0]


def model_folder(server: RealComfyUI) -> Path:
    return server.base / "models/style_transfer"


def test_files_of_both_folders_stand_after_the_presets(server: RealComfyUI) -> None:
    listed = styles(server)
    assert listed[0] == "vangogh"
    assert listed[-3:] == ["adain.safetensors", "candy.pth", "notes.pth"]
    assert set(server.get("/models/style_transfer").json()) >= {"candy.pth", "adain.safetensors"}


def test_a_file_paints(server: RealComfyUI) -> None:
    for _ in range(2):  # the second time from the net that is kept
        job = until_ended(server, submit(server, prompt("candy.pth"))["id"])
        assert job["status"] == "succeeded", job
        assert len(job["outputs"]) == 2


def test_a_file_that_came_after_the_start_is_there(server: RealComfyUI) -> None:
    torch.save(TransformerNet().state_dict(), model_folder(server) / "later.pt")
    assert "later.pt" in styles(server)
    assert until_ended(server, submit(server, prompt("later.pt"))["id"])["status"] == "succeeded"


def test_a_net_that_needs_a_reference_says_what_to_connect(server: RealComfyUI) -> None:
    job = until_ended(server, submit(server, prompt("adain.safetensors"))["id"])
    assert (job["status"], job["attempt"]) == ("failed", 1)
    assert "connect style_image" in job["error"]["message"]


def test_a_bad_file_fails_once_with_its_name(server: RealComfyUI) -> None:
    job = until_ended(server, submit(server, prompt("notes.pth"))["id"])
    assert (job["status"], job["cause"], job["attempt"]) == ("failed", "NODE_ERROR", 1)
    assert "notes.pth is no whole file of plain weights" in job["error"]["message"]


def test_intensity_0_reads_no_file(server: RealComfyUI) -> None:
    assert until_ended(server, submit(server, prompt("notes.pth", intensity=0.0))["id"])["status"] == "succeeded"


@pytest.mark.parametrize("name", ["gone.pth", "../candy.pth", "style_transfer/candy.pth", "paths.yaml"])
def test_what_is_not_there_is_refused_before_it_runs(server: RealComfyUI, name: str) -> None:
    answer = server.post("/expeditor/submit", json={"prompt": prompt(name)})
    assert answer.status_code == 422
    (fault,) = answer.json()["error"]["errors"]
    assert fault["pointer"] == "/prompt/2/inputs/style"
    assert name in fault["message"]


@pytest.mark.parametrize("name", ["gone.pth", "../candy.pth"])
def test_where_comfyui_lets_a_name_pass_the_node_says_what_is_there(server: RealComfyUI, name: str) -> None:
    """This version does not look at choices of nodes such as ours."""
    accepted = server.post("/prompt", json={"prompt": prompt(name)})
    assert accepted.status_code == 200, accepted.text
    job = until_ended(server, accepted.json()["prompt_id"])
    assert (job["status"], job["attempt"]) == ("failed", 1)
    assert f"There is no model file '{name}'" in job["error"]["message"]
    assert "adain.safetensors, candy.pth" in job["error"]["message"]


def test_a_file_that_goes_away_while_its_job_waits_is_named(server: RealComfyUI) -> None:
    path = model_folder(server) / "fleeting.pth"
    torch.save(TransformerNet().state_dict(), path)
    server.post("/expeditor/queue/pause")
    try:
        job_id = submit(server, prompt("fleeting.pth", seed=5))["id"]
        path.unlink()
    finally:
        server.post("/expeditor/queue/resume")
    job = until_ended(server, job_id)
    assert job["status"] == "failed"
    assert "fleeting.pth" in job["error"]["message"]
