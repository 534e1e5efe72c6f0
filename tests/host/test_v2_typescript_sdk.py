"""The official TypeScript SDK, as its registry has it, against a real ComfyUI. It knows neither labels nor the list yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.host.stock_walk import TEST_NODES, open_gate
from tests.support.comfy_server import RealComfyUI
from tests.support.typescript_sdk import walk

SCRIPT = Path(__file__).with_name("sdk_walk.mjs")


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES]) as started:
        yield started


def seen(server: RealComfyUI, phase: str, *arguments: str) -> dict[str, Any]:
    return walk(SCRIPT, phase, *arguments, env={"COMFY_BASE_URL": server.url})


def test_run_outputs_ranges_and_a_failure(server):
    saw = seen(server, "jobs")
    assert (saw["status"], saw["again"], saw["workflow"]) == ("succeeded", True, ["1", "2"])
    assert saw["part"] == [0x50, 0x4E, 0x47], "the PNG's name"
    output = saw["output"]
    assert (output["type"], output["contentType"], output["size"]) == ("image", "image/png", output["sent"])
    assert saw["url"].startswith(server.url)
    assert saw["failed"]["name"] == "JobFailed"


def test_events_end_with_the_end_and_tell_outputs_before(server):
    saw = seen(server, "events")
    assert saw["status"] == saw["seen"][-1] == "succeeded"
    assert saw["seen"][0] in {"queued", "running"}
    assert saw["seen"].count("outputReady") == 1
    assert "progress" in saw["seen"]


def test_cancel_queued_running_and_finished(server):
    assert seen(server, "cancel") == {"queued": "canceled", "running": "canceled", "finished": "succeeded"}


def test_assets_are_uploaded_once_chained_named_held_and_deleted(server):
    saw = seen(server, "assets")
    assert saw["created"] == [True, False, True]
    assert saw["widths"] == [23, 23, 23]
    assert saw["fromJob"]
    assert (saw["missing"]["status"], saw["missing"]["code"]) == (422, "missing_asset")
    assert (saw["inUse"]["status"], saw["inUse"]["code"]) == (409, "asset_in_use")
    assert (saw["gone"]["status"], saw["gone"]["code"]) == (404, "not_found")


def test_jobs_are_picked_up_after_the_server_was_killed(server):
    ids = seen(server, "before")["ids"]
    server.restart()
    open_gate(server, "ts-restart")
    assert seen(server, "after", *ids) == {"statuses": ["succeeded"] * 3, "widths": [1, 1]}
