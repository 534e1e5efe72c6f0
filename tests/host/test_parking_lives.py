"""Parked prompts through deaths of the server, and prompts that cannot be parked, on a real ComfyUI."""

from __future__ import annotations

from typing import Any

import pytest

from tests.host.asking_client import answer, asking, listed, parked, pending, quick, runs, shown
from tests.host.jobs_client import job, submit, until_ended, until_status
from tests.host.stock_walk import TEST_NODES
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

AT_ONCE = {"EXPEDITOR_PARK_AFTER_S": "0"}


def started(*args: str, **env: str) -> RealComfyUI:
    return RealComfyUI(packs=[TEST_NODES], env={**AT_ONCE, **env}, args=args)


def test_a_parked_job_outlives_kill_9_and_so_does_its_answer():
    with started() as server:
        asked, answered = parked(server, asking("asked")), parked(server, asking("answered"))
        (wait,) = pending(server, asked)
        assert server.post("/expeditor/queue/pause").status_code == 200
        assert answer(server, message="before", node_id="7", prompt_id=answered) == 200
        server.restart()
        assert (job(server, asked)["status"], job(server, answered)["status"]) == ("waiting", "waiting")
        assert pending(server, asked, answered) == [wait]
        assert set(listed(server)["pending"]) == {asked, answered}
        assert answer(server, message="late", node_id="7", prompt_id=answered) in (404, 410)
        assert answer(server, message="after", node_id="7", token=wait["token"]) == 200
        assert server.post("/expeditor/queue/resume").status_code == 200
        for job_id, text, key in ((asked, "after", "asked"), (answered, "before", "answered")):
            ended = until_ended(server, job_id)
            assert (ended["status"], ended["attempt"], shown(server, job_id)) == ("succeeded", 1, [text])
            assert runs(server, key) == 2, "what was made is gone with the process"


def test_a_job_that_went_on_and_died_is_not_asked_again():
    with started() as server:
        prompt = asking("died")
        exits = {"times": 1, "key": "dies", "code": 9, "text": ["7", 0]}
        prompt["9"] = {"class_type": "ExpeditorTestExits", "inputs": exits}
        job_id = parked(server, prompt)
        assert answer(server, message="once", node_id="7", prompt_id=job_id) == 200
        server.wait_exit()
        server.start()
        ended = until_ended(server, job_id)
        assert (ended["status"], ended["attempt"], shown(server, job_id)) == ("succeeded", 2, ["once"])
        assert ended["attempts"][0]["cause"] == "PROCESS_DIED"


def test_a_key_that_was_sent_with_a_parked_job_is_there_when_it_goes_on_and_lost_with_the_process():
    with started() as server:
        first, second = (
            parked(server, asking(key), extra_data={"api_key_comfy_org": "k"}) for key in ("key-1", "key-2")
        )
        assert answer(server, message="on", node_id="7", prompt_id=first) == 200
        assert until_ended(server, first)["status"] == "succeeded"
        server.restart()
        ended = until_ended(server, second)
        assert (ended["status"], ended["cause"], ended["attempts"][0]["cause"]) == (
            "failed",
            "SECRET_LOST",
            "SECRET_LOST",
        )
        assert pending(server, second) == []


@pytest.mark.parametrize(
    ("args", "env", "says"),
    [
        ((), {"EXPEDITOR_PARKING": "false"}, "off"),
        ((), {"EXPEDITOR_PARK_CACHE_BYTES": "0"}, "park_cache_bytes"),
        (("--cache-none",), {}, "--cache-none"),
    ],
)
def test_where_it_cannot_be_parked_it_waits_in_place_and_says_so(args: tuple[str, ...], env: dict[str, str], says: str):
    with started(*args, **env) as server:
        prompt = asking("in-place")
        prompt["2"] = {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 7}}
        prompt["3"] = {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}}
        job_id = submit(server, prompt)["id"]
        wait_until(lambda: pending(server, job_id), what="its question")
        wait_until(lambda: says in server.get("/expeditor/health").json()["parking"]["state"], what="the reason")
        other = submit(server, quick())["id"]
        assert (job(server, job_id)["status"], job(server, other)["status"]) == ("running", "queued")
        assert answer(server, message="on", node_id="7", prompt_id=job_id) == 200
        assert until_ended(server, job_id)["status"] == until_ended(server, other)["status"] == "succeeded"
        told = server.log_text().count("keep the machine")
        assert told == (0 if says == "off" else 1)


@pytest.mark.parametrize("args", [("--cache-lru", "1"), ("--cache-ram", "0.1")])
def test_caches_of_other_kinds_are_kept_too(args: tuple[str, ...]):
    with started(*args) as server:
        key: Any = "-".join(args)
        job_id = parked(server, asking(key))
        for _ in range(3):
            until_ended(server, submit(server, quick())["id"])
        assert answer(server, message="on", node_id="7", prompt_id=job_id) == 200
        assert until_ended(server, job_id)["status"] == "succeeded"
        assert (shown(server, job_id), runs(server, key)) == (["on"], 1)
        until_status(server, submit(server, quick())["id"], "succeeded")
