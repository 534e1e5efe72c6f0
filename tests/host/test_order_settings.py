"""The settings that shape the order, each on a real server over restarts: ageing, strict order, ceilings at both doors."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.host.jobs_client import job, order_of_start, quick, submit
from tests.host.stock_walk import TEST_NODES
from tests.support.comfy_server import RealComfyUI

CEILINGS = {"EXPEDITOR_MAX_PRIORITY": "9", "EXPEDITOR_PRIORITY_CEILINGS": json.dumps({"junior": 5})}


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES]) as running:
        yield running


def again(server: RealComfyUI, **settings: str) -> None:
    """Restart with these settings."""
    server.env = {f"EXPEDITOR_{name}": value for name, value in settings.items()}
    server.restart()


def test_what_waits_is_put_in_order_anew_when_the_settings_change(server: RealComfyUI):
    server.post("/expeditor/queue/pause")
    bobs = [submit(server, quick(n), client_id="bob", priority=5)["id"] for n in range(4)]
    ada = submit(server, quick(10), client_id="ada", priority=3)["id"]

    def places() -> list[int]:
        return [job(server, job_id)["position"] for job_id in (*bobs, ada)]

    assert places() == [1, 2, 3, 4, 5], "two points are a head start of four minutes"
    again(server, AGEING_S="1")
    assert places() == [1, 3, 4, 5, 2], "two points are a head start of two seconds, less than one job"
    again(server, AGEING_S="1", ORDERING="strict")
    assert places() == [1, 2, 3, 4, 5], "priority alone"
    again(server, AGEING_S="1")
    server.post("/expeditor/queue/resume")
    assert order_of_start(server, [*bobs, ada]) == [bobs[0], ada, *bobs[1:]]


def test_ceilings_refuse_at_our_door_and_lower_at_the_stock_one(server: RealComfyUI):
    server.env = CEILINGS
    server.restart()
    server.post("/expeditor/queue/pause")
    for client, asked, ceiling in (("somebody", 10, 9), ("junior", 6, 5)):
        body = {"prompt": quick(20), "client_id": client, "_priority": asked}
        refused = server.post("/expeditor/submit", json=body)
        assert (refused.status_code, refused.reason) == (403, "PRIORITY_NOT_ALLOWED")
        assert refused.json()["error"]["details"] == {"ceiling": ceiling}
        taken = server.post("/prompt", json=body)
        assert taken.status_code == 200, taken.text
        assert job(server, taken.json()["prompt_id"])["priority"] == ceiling
    allowed = submit(server, quick(21), client_id="junior", priority=5)["id"]
    # The front is for those who may use 10: at the stock door the wish is dropped, as core's own clients expect no refusal.
    pushy = server.post("/prompt", json={"prompt": quick(22), "client_id": "junior", "front": True}).json()["prompt_id"]
    assert job(server, pushy)["position"] > job(server, allowed)["position"]
    lifted = server.post(f"/expeditor/jobs/{allowed}/priority", json={"priority": 6, "client_id": "junior"})
    assert (lifted.status_code, lifted.reason) == (403, "PRIORITY_NOT_ALLOWED")
