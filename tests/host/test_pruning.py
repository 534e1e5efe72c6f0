"""Jobs beyond what is kept, on a real server: gone with their files, and told as gone; previews stay as long as their jobs."""

from __future__ import annotations

from typing import Any

from tests.host.jobs_client import job, submit, until_ended
from tests.host.stock_walk import TEST_NODES, image_prompt
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

KEEPS_TWO = {"EXPEDITOR_KEEP_SUCCEEDED_JOBS": "2", "EXPEDITOR_PRUNE_OUTPUTS": "true"}


def _preview(color: int) -> dict[str, Any]:
    prompt = image_prompt(color)
    return {**prompt, "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}


def _made(server: RealComfyUI, prompt: dict[str, Any]) -> tuple[str, str]:
    """The id of a job that succeeded, and where ComfyUI shows its one file."""
    ended = until_ended(server, submit(server, prompt)["id"])
    assert ended["status"] == "succeeded"
    (output,) = ended["outputs"]
    return ended["id"], output["view_url"].removeprefix(server.url)


def test_old_jobs_go_with_their_files_and_previews_outlive_a_restart():
    with RealComfyUI(packs=[TEST_NODES], env=KEEPS_TWO) as server:
        old, old_file = _made(server, image_prompt(1))
        kept, kept_file = _made(server, image_prompt(2))
        preview, preview_file = _made(server, _preview(3))
        picture = server.get(preview_file).content
        assert picture.startswith(b"\x89PNG")
        server.restart()
        wait_until(lambda: server.get(preview_file).content == picture, 30, what="the preview to be put back")
        wait_until(
            lambda: server.get(f"/expeditor/jobs/{old}").status_code == 410, 240, what="the oldest job to be pruned"
        )
        gone = server.get(f"/expeditor/jobs/{old}")
        assert (gone.reason, gone.json()["error"]["code"]) == ("GONE", "GONE")
        assert server.get(old_file).status_code == 404
        assert server.get(f"/expeditor/jobs/{old}/outputs/0").status_code == 410
        assert server.get(kept_file).status_code == 200
        assert job(server, kept)["status"] == job(server, preview)["status"] == "succeeded"
        again = server.post("/expeditor/submit", json={"prompt": image_prompt(9), "prompt_id": old})
        assert again.status_code == 409, "an id is never used twice"
