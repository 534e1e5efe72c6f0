"""Repeated requests on a real server, at both doors: one job whatever happens, also when the server dies before it answers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.host.jobs_client import job, occupy, quick, until_ended
from tests.host.stock_walk import TEST_NODES, open_gate
from tests.support.comfy_server import ROOT, RealComfyUI
from tests.support.waiting import wait_until

HOLDS_ANSWERS = ROOT / "tests" / "support" / "packs" / "holds_answers"
DOORS = ["/expeditor/submit", "/prompt"]


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES, HOLDS_ANSWERS]) as running:
        yield running


class Wish:
    """One thing that a client wants done once, by key or by an id of its own; its node leaves a trace of every run."""

    def __init__(self, server: RealComfyUI, way: str) -> None:
        self.server = server
        self.name = f"wish-{uuid.uuid4()}"
        self.headers = {"Idempotency-Key": self.name} if way != "id" else {}
        inputs = {"error": "RuntimeError", "text": "never", "times": 0, "key": self.name}
        self.body: dict[str, Any] = {"prompt": {"1": {"class_type": "ExpeditorTestRaises", "inputs": inputs}}}
        if way != "key":
            self.body["prompt_id"] = str(uuid.uuid4())

    def send(self, door: str, **headers: str) -> requests.Response:
        return self.server.post(door, json=self.body, headers={**self.headers, **headers})

    def runs(self) -> int:
        """How often its node has run, in all lives of the server."""
        return len(list((self.server.base / "expeditor_test_runs" / self.name).glob("*")))


def id_of(answer: requests.Response) -> str:
    told = answer.json()
    return told["prompt_id"] if "prompt_id" in told else told["id"]


def known(server: RealComfyUI) -> list[str]:
    return [each["id"] for each in server.get("/expeditor/jobs?limit=1000").json()["jobs"]]


@pytest.mark.parametrize("way", ["key", "id", "both"])
@pytest.mark.parametrize("door", [*DOORS, "/api/prompt"])
def test_fifty_equal_requests_at_once_are_one_job(server: RealComfyUI, door: str, way: str) -> None:
    wish, before = Wish(server, way), set(known(server))
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: wish.send(door), range(50)))
    assert {answer.status_code for answer in answers} == ({200, 201} if "submit" in door else {200})
    (job_id,) = {id_of(answer) for answer in answers}
    assert sorted(answer.headers.get("Idempotent-Replayed", "") for answer in answers) == [""] + ["true"] * 49
    assert set(known(server)) - before == {job_id}
    assert until_ended(server, job_id)["attempt"] == 1
    assert wish.runs() == 1


def test_fifty_at_both_doors_at_once_are_one_job_too(server: RealComfyUI) -> None:
    wish = Wish(server, "key")
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(wish.send, DOORS * 25))
    (job_id,) = {id_of(answer) for answer in answers}
    until_ended(server, job_id)
    assert wish.runs() == 1


def test_a_repeated_prompt_is_answered_as_core_answered_the_first(server: RealComfyUI) -> None:
    wish = Wish(server, "key")
    wish.body["number"] = 5.5
    first, again = wish.send("/prompt"), wish.send("/prompt")
    assert first.json() == again.json() == {"prompt_id": id_of(first), "number": 5.5, "node_errors": {}}
    assert isinstance(Wish(server, "key").send("/prompt").json()["number"], int)


@pytest.mark.parametrize("way", ["key", "id"])
@pytest.mark.parametrize("door", DOORS)
def test_another_body_is_a_conflict_that_names_the_job(server: RealComfyUI, door: str, way: str) -> None:
    wish = Wish(server, way)
    job_id = id_of(wish.send(door))
    wish.body["extra_data"] = {"changed": True}
    for other in DOORS:
        answer = wish.send(other)
        error = answer.json()["error"]
        assert (answer.status_code, answer.reason) == (409, "CONFLICT")
        assert error.get("details") == {"job_id": job_id} or error["extra_info"]["job_id"] == job_id
    until_ended(server, job_id)
    assert wish.runs() == 1


@pytest.mark.parametrize("door", DOORS)
def test_a_refused_request_gives_its_key_back(server: RealComfyUI, door: str) -> None:
    wish = Wish(server, "both")
    good = wish.body["prompt"]
    wish.body["prompt"] = {"1": {"class_type": "ExpeditorTestRaises", "inputs": {"error": "no such error"}}}
    assert wish.send(door).status_code in {400, 422}
    wish.body["prompt"] = good
    assert wish.send(door).status_code in {200, 201}


@pytest.mark.parametrize(("door", "way"), [(DOORS[0], "key"), (DOORS[0], "both"), (DOORS[1], "key"), (DOORS[1], "id")])
def test_killed_after_the_commit_and_before_the_answer(server: RealComfyUI, door: str, way: str) -> None:
    """The client never hears of its job; its retry with the same key, after the restart, does, and the job runs once."""
    gate = f"gate-{uuid.uuid4()}"
    holding = occupy(server, gate)  # so that the job is still waiting when the server dies
    wish, before = Wish(server, way), set(known(server))
    with ThreadPoolExecutor(1) as client:
        asked = client.submit(wish.send, door, **{"X-Test-Hold": "1"})
        wait_until(lambda: set(known(server)) - before, 30, what="the job to be committed")
        server.kill()
        assert isinstance(asked.exception(30), requests.ConnectionError), "an answer came, so nothing was shown"
    open_gate(server, gate)
    server.start()
    (committed,) = set(known(server)) - before
    again = wish.send(door)
    assert (again.status_code, id_of(again), again.headers["Idempotent-Replayed"]) == (200, committed, "true")
    assert until_ended(server, committed)["status"] == "succeeded"
    assert set(known(server)) - before == {committed}
    assert wish.runs() == 1
    assert until_ended(server, holding)["status"] == "succeeded"


def test_killed_before_the_commit_the_retry_makes_the_job() -> None:
    with RealComfyUI(packs=[TEST_NODES], env={"EXPEDITOR_STORE_COMMIT_DELAY_S": "3"}) as slow:
        wish = Wish(slow, "both")
        with ThreadPoolExecutor(1) as client:
            asked = client.submit(wish.send, "/prompt")
            wait_until(lambda: slow.get("/queue").json()["queue_pending"], 30, what="the prompt to be listed")
            slow.kill()
            assert isinstance(asked.exception(30), requests.ConnectionError), "an answer came, so nothing was shown"
        slow.start()
        assert known(slow) == []
        answer = wish.send("/prompt")
        assert (answer.status_code, answer.headers.get("Idempotent-Replayed")) == (200, None)
        assert until_ended(slow, id_of(answer), 90)["status"] == "succeeded"
        assert known(slow) == [id_of(answer)]
        assert wish.runs() == 1


def test_without_key_and_id_every_request_is_a_job_as_in_stock(server: RealComfyUI) -> None:
    body = {"prompt": quick(7)}
    ids = {server.post("/prompt", json=body).json()["prompt_id"] for _ in range(3)}
    assert len(ids) == 3
    assert {job(server, each)["id"] for each in ids} == ids
