"""The style node in a real ComfyUI: what validates, what it paints, how it is stopped, and when a picture of it is sent."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from tests.host.jobs_client import submit, until_ended
from tests.host.socket_reader import Frame, SocketReader
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

DEADLINE_S = 240.0
# On a busy machine two threads that wait for each other take many times as long as one.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
# ComfyUI's binary frames with a preview: the old kind, and the one with the node's id.
PREVIEWS = {"binary 1", "binary 4"}


@pytest.fixture
def server(expeditor_server: RealComfyUI) -> RealComfyUI:
    return expeditor_server


@pytest.fixture(scope="module")
def server_with_previews() -> Iterator[RealComfyUI]:
    with RealComfyUI(args=["--preview-method", "auto", "--preview-size", "128"], env=ONE_THREAD) as running:
        yield running


def upload(server: RealComfyUI, name: str, side: tuple[int, int]) -> np.ndarray:
    """Put a photograph into the server's input folder; its pixels."""
    picture = Image.fromarray(getattr(data, name)()).resize(side)
    body = io.BytesIO()
    picture.save(body, "PNG")
    answer = server.post("/upload/image", files={"image": (f"{name}.png", body.getvalue(), "image/png")})
    assert answer.status_code == 200, answer.text
    return np.asarray(picture)


def load(name: str) -> dict[str, Any]:
    return {"class_type": "LoadImage", "inputs": {"image": f"{name}.png"}}


def style_of(**inputs: Any) -> dict[str, Any]:
    return {
        "class_type": "StyleTransferNode",
        "inputs": {"image": ["1", 0], "style": "sketch", "intensity": 1.0, **inputs},
    }


def saved(*source: Any) -> dict[str, Any]:
    return {
        "class_type": "SaveImage",
        "inputs": {"images": list(source), "filename_prefix": f"style{uuid.uuid4().hex}"},
    }


def blank(width: int, height: int) -> dict[str, Any]:
    size = {"width": width, "height": height, "batch_size": 1}
    return {"class_type": "EmptyImage", "inputs": {**size, "color": uuid.uuid4().int % 0xFFFFFF}}


def pictures(server: RealComfyUI, prompt: dict[str, Any]) -> list[np.ndarray]:
    ended = until_ended(server, submit(server, prompt)["id"], deadline_s=DEADLINE_S)
    assert ended["status"] == "succeeded", ended
    found = [server.get(output["url"].removeprefix(server.url)).content for output in ended["outputs"]]
    return [np.asarray(Image.open(io.BytesIO(content))) for content in found]


def styles(server: RealComfyUI) -> list[str]:
    inputs = server.get("/object_info/StyleTransferNode").json()["StyleTransferNode"]["input"]
    choice = inputs["required"]["style"]
    return choice[0] if isinstance(choice[0], list) else choice[1]["options"]


def test_image_style_and_intensity_are_enough(server: RealComfyUI) -> None:
    before = upload(server, "astronaut", (96, 96))
    (painted,) = pictures(server, {"1": load("astronaut"), "2": style_of(), "3": saved("2", 0)})
    assert painted.shape == before.shape
    assert np.abs(painted.astype(int) - before).mean() > 20
    assert {"vangogh", "sketch"} <= set(styles(server))


def test_without_intensity_the_very_picture_comes_out(server: RealComfyUI) -> None:
    upload(server, "coffee", (80, 64))
    prompt = {"1": load("coffee"), "2": style_of(intensity=0.0), "3": saved("2", 0)}
    untouched = pictures(server, {"1": load("coffee"), "3": saved("1", 0)})
    assert np.array_equal(pictures(server, prompt), untouched)


def test_everything_connected_paints_a_batch_where_the_mask_lets_it(server: RealComfyUI) -> None:
    upload(server, "coffee", (80, 64))
    upload(server, "rocket", (64, 48))
    prompt = {
        "1": {"class_type": "RepeatImageBatch", "inputs": {"image": ["5", 0], "amount": 2}},
        "2": style_of(
            style="vangogh", seed=7, stroke_scale=1.5, palette_strength=0.8, style_image=["6", 0], mask=["9", 0]
        ),
        "3": saved("2", 0),
        "4": saved("1", 0),
        "5": load("coffee"),
        "6": load("rocket"),
        "7": {"class_type": "SolidMask", "inputs": {"value": 0.0, "width": 40, "height": 32}},
        "8": {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 20, "height": 32}},
        "9": {
            "class_type": "MaskComposite",
            "inputs": {"destination": ["7", 0], "source": ["8", 0], "x": 0, "y": 0, "operation": "add"},
        },
    }
    found = pictures(server, prompt)
    assert [picture.shape for picture in found] == [(64, 80, 3)] * 4
    first, second, before, _ = sorted(found, key=lambda picture: np.abs(picture - found[0].astype(int)).sum())
    assert np.array_equal(first, second)
    assert np.array_equal(first[:, 44:], before[:, 44:])
    assert np.abs(first[:, :36].astype(int) - before[:, :36]).mean() > 10


def test_a_linked_number_out_of_range_fails_with_its_name(server: RealComfyUI) -> None:
    prompt = {
        "1": blank(64, 64),
        "2": style_of(stroke_scale=["5", 0]),
        "3": saved("2", 0),
        "5": {"class_type": "PrimitiveFloat", "inputs": {"value": 9.0}},
    }
    job = until_ended(server, submit(server, prompt)["id"], deadline_s=DEADLINE_S)
    assert (job["status"], job["cause"]) == ("failed", "NODE_ERROR")
    assert "stroke_scale: expected 0.25 to 4, got 9" in job["error"]["message"]


def _until_end(socket: SocketReader, job_id: str) -> list[Frame]:
    return socket.until(
        lambda frame: frame.ends_prompt and frame.data["prompt_id"] == job_id if _is_end(frame) else False
    )


def _is_end(frame: Frame) -> bool:
    return frame.kind == "executing" and frame.data["node"] is None


def _painted_before(server: RealComfyUI) -> list[Frame]:
    """All that a page is told while a picture is painted that takes a second and more."""
    client = uuid.uuid4().hex
    with SocketReader(server, client) as socket:
        prompt = {"1": blank(800, 800), "2": style_of(style="vangogh"), "3": saved("2", 0)}
        job = submit(server, prompt, client_id=client)
        frames = _until_end(socket, job["id"])
    assert until_ended(server, job["id"])["status"] == "succeeded"
    return frames


def test_progress_reaches_its_total_and_no_preview_is_sent_unasked(server: RealComfyUI) -> None:
    frames = _painted_before(server)
    steps = [(frame.data["value"], frame.data["max"]) for frame in frames if frame.kind == "progress"]
    total = steps[0][1]
    assert steps == [(i + 1, total) for i in range(total)]
    assert not PREVIEWS & {frame.kind for frame in frames}


def test_previews_are_sent_now_and_then_where_comfyui_shows_them(server_with_previews: RealComfyUI) -> None:
    frames = _painted_before(server_with_previews)
    previews = [frame for frame in frames if frame.kind in PREVIEWS]
    steps = sum(frame.kind == "progress" for frame in frames)
    assert 1 <= len(previews) <= steps
    assert len({frame.data for frame in previews}) == len(previews), "each shows more than the one before"


@pytest.mark.parametrize("style", ["vangogh", "sketch"])
def test_a_render_at_4k_is_stopped_in_the_middle(server: RealComfyUI, style: str) -> None:
    prompt = {"1": blank(3840, 2160), "2": style_of(style=style), "3": saved("2", 0)}
    client = uuid.uuid4().hex
    with SocketReader(server, client) as socket:
        job_id = submit(server, prompt, client_id=client)["id"]
        begun = socket.until(lambda frame: frame.kind == "progress")[-1]
        server.post(f"/expeditor/jobs/{job_id}/cancel")
        told = _until_end(socket, job_id)
    steps = [begun.data["value"], *(frame.data["value"] for frame in told if frame.kind == "progress")]
    assert steps[-1] < begun.data["max"] / 2, "the rest was not painted"
    ended = until_ended(server, job_id, deadline_s=DEADLINE_S)
    assert (ended["status"], ended["outputs"]) == ("canceled", [])
    wait_until(lambda: not server.get("/queue").json()["queue_running"], what="a free worker")
