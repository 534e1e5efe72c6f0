"""ComfyUI's own history after a restart: the newest jobs are there as before, and what was deleted stays away."""

from __future__ import annotations

from typing import Any

from tests.host.jobs_client import job, occupy, quick, submit, until_ended, until_status
from tests.host.stock_walk import TEST_NODES, image_prompt, open_gate
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

LIMITED = {"EXPEDITOR_HISTORY_RESTORED": "3"}


def _history(server: RealComfyUI) -> dict[str, Any]:
    return server.get("/history").json()


def _ran(server: RealComfyUI, prompt: dict[str, Any], **fields: Any) -> str:
    job_id = submit(server, prompt, **fields)["id"]
    assert until_ended(server, job_id)["status"] in ("succeeded", "failed")
    wait_until(lambda: job_id in _history(server), what=f"{job_id} in the history")  # written once its end is committed
    return job_id


def test_history_survives_a_kill_and_deletions_do_too():
    raises = {"1": {"class_type": "ExpeditorTestRaises", "inputs": {"error": "ValueError", "text": "as told"}}}
    odd = {"1": {"class_type": "ExpeditorTestUnserialisableUI", "inputs": {"salt": 3}}}
    with RealComfyUI(packs=[TEST_NODES], env=LIMITED) as server:
        oldest = _ran(server, quick(1))
        picture = _ran(server, image_prompt(1), client_id="ada")
        failed = _ran(server, raises)
        strange = _ran(server, odd)
        before = _history(server)
        assert list(before) == [oldest, picture, failed, strange]

        server.restart()
        after = _history(server)
        assert list(after) == [picture, failed, strange], "the newest, oldest first"
        assert after == {job_id: before[job_id] for job_id in after}
        assert server.get(f"/history/{picture}").json() == {picture: before[picture]}
        newest = _ran(server, quick(2))
        assert _history(server)[newest]["prompt"][0] > max(entry["prompt"][0] for entry in after.values())

        assert server.post("/history", json={"delete": [failed]}).status_code == 200
        server.restart()
        assert list(_history(server)) == [picture, strange, newest], "the newest three but for the one that was deleted"

        assert server.post("/history", json={"clear": True}).status_code == 200
        last = _ran(server, quick(3))
        server.restart()
        assert list(_history(server)) == [last], "what was cleared stays away, what ended since is there"


def test_history_may_be_left_behind():
    with RealComfyUI(packs=[TEST_NODES], env={"EXPEDITOR_HISTORY_RESTORED": "0"}) as server:
        _ran(server, quick(1))
        server.restart()
        assert _history(server) == {}


def _without_times(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry with the time of its last message left out: it is told when it is told, and restored as of the job's end."""
    messages = [[word, {**fields, "timestamp": 0}] for word, fields in entry["status"]["messages"]]
    return {**entry, "status": {**entry["status"], "messages": messages}}


def test_what_ended_while_it_waited_and_what_is_too_large_to_keep_is_there_after_every_restart():
    with RealComfyUI(packs=[TEST_NODES], env={"EXPEDITOR_HISTORY_MAX_BYTES": "100"}) as server:
        picture = _ran(server, image_prompt(2))
        files = _history(server)[picture]["outputs"]
        occupy(server, "held")
        canceled = submit(server, quick(1))["id"]
        deleted = submit(server, quick(2))["id"]
        expired = submit(server, quick(3), expires_in_s=1)["id"]
        assert server.post(f"/expeditor/jobs/{canceled}/cancel").status_code == 200
        assert server.post("/queue", json={"delete": [deleted]}).status_code == 200
        until_status(server, expired, "expired")
        open_gate(server, "held")
        until_ended(server, submit(server, quick(4))["id"])
        before = _history(server)
        for _ in range(2):
            server.restart()
            after = _history(server)
            assert set(after) == set(before)
            assert deleted not in after
            assert (after[picture]["outputs"], after[picture]["status"]["status_str"]) == (files, "success")
            for job_id, word in ((canceled, "execution_interrupted"), (expired, "execution_error")):
                assert after[job_id]["status"]["messages"][0][0] == word
                assert _without_times(after[job_id]) == _without_times(before[job_id])
        assert job(server, deleted)["status"] == "canceled"
