"""Each limit of the queue on a real server, as its settings say: of all jobs, of one user, of bytes; until when a limit that was
reached refuses, and that the wait a client is told is the measured one.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.host.jobs_client import occupy, quick, submit, until_ended
from tests.host.stock_walk import TEST_NODES, open_gate
from tests.support.comfy_server import RealComfyUI

JOBS, EACH, BYTES = 40, 4, 100_000
REOPENS_AT = 37  # the first number below 95 % of 40
DOORS = ["/expeditor/submit", "/prompt"]
ENV = {
    "EXPEDITOR_MAX_WAITING_JOBS": str(JOBS),
    "EXPEDITOR_MAX_WAITING_JOBS_PER_PRINCIPAL": str(EACH),
    "EXPEDITOR_MAX_WAITING_BYTES": str(BYTES),
    "EXPEDITOR_TRUSTED_USER_HEADER": "X-User",
    "EXPEDITOR_TRUSTED_PROXIES": '["127.0.0.1"]',
}


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES], env=ENV) as running:
        yield running


@pytest.fixture
def held(server: RealComfyUI) -> Iterator[str]:
    """The machine is busy with one job; at the end all that waits is canceled."""
    gate = f"gate-{uuid.uuid4()}"
    holding = occupy(server, gate)
    yield holding
    server.post("/queue", json={"clear": True})
    open_gate(server, gate)
    until_ended(server, holding)


def put(server: RealComfyUI, door: str, user: str, **fields: Any) -> requests.Response:
    return server.post(door, json={"prompt": quick(1), **fields}, headers={"X-User": user})


def fill(server: RealComfyUI) -> list[str]:
    """The line filled to its limit, by ten users."""
    answers = [put(server, DOORS[number % 2], f"user-{number // EACH}") for number in range(JOBS)]
    assert all(answer.ok for answer in answers), [answer.text for answer in answers if not answer.ok]
    return [answer.json().get("id") or answer.json()["prompt_id"] for answer in answers]


def refusal(answer: requests.Response) -> tuple[int, str, str]:
    """Status, reason and which limit; the same at both doors."""
    error = answer.json()["error"]
    details = error.get("extra_info") or error["details"]
    return answer.status_code, answer.reason, details["limit"]


def reading(server: RealComfyUI, name: str) -> float:
    (value,) = [
        sample.value
        for family in text_string_to_metric_families(server.get("/expeditor/metrics").text)
        for sample in family.samples
        if sample.name == name
    ]
    return value


@pytest.mark.parametrize("door", DOORS)
def test_one_user_has_a_quota_and_others_still_get_in(server: RealComfyUI, held: str, door: str) -> None:
    assert all(put(server, door, "ada").ok for _ in range(EACH))
    assert refusal(put(server, door, "ada")) == (429, "QUEUE_FULL", "max_waiting_jobs_per_principal")
    assert put(server, door, "grace").ok


@pytest.mark.parametrize("door", DOORS)
def test_clients_that_only_claim_a_name_share_one_quota(server: RealComfyUI, held: str, door: str) -> None:
    bodies = [{"prompt": quick(2), "client_id": f"client-{number}"} for number in range(EACH + 1)]
    answers = [server.post(door, json=body) for body in bodies]
    assert all(answer.ok for answer in answers[:EACH])
    assert refusal(answers[EACH]) == (429, "QUEUE_FULL", "max_waiting_jobs_per_principal")
    assert put(server, door, "client-0").ok, "a claimed name used up the quota of the user of that name"


@pytest.mark.parametrize("door", DOORS)
def test_bytes_are_limited_too(server: RealComfyUI, held: str, door: str) -> None:
    def heavy(size_bytes: int) -> dict[str, Any]:
        return {"note": "x" * size_bytes}

    assert put(server, door, "ada", extra_data=heavy(90_000)).ok
    assert refusal(put(server, door, "ada", extra_data=heavy(20_000))) == (429, "QUEUE_FULL", "max_waiting_bytes")
    assert put(server, door, "ada", extra_data=heavy(1_000)).ok
    alone = put(server, door, "ada", extra_data=heavy(BYTES))
    assert (alone.status_code, alone.reason) == (413, "LIMIT_EXCEEDED")
    assert "Retry-After" not in alone.headers, "waiting does not help"


def test_a_limit_that_was_reached_refuses_until_there_is_some_room(server: RealComfyUI, held: str) -> None:
    waiting = fill(server)
    assert refusal(put(server, "/prompt", "late")) == (429, "QUEUE_FULL", "max_waiting_jobs")
    for left in range(JOBS - 1, REOPENS_AT, -1):
        server.post(f"/expeditor/jobs/{waiting[left]}/cancel")
        assert put(server, "/prompt", "late").status_code == 429, f"{left} wait"
    server.post(f"/expeditor/jobs/{waiting[REOPENS_AT]}/cancel")
    assert put(server, "/prompt", "late").ok
    assert put(server, "/expeditor/submit", "late").ok, "the limit closed again before it was reached"


def test_the_wait_that_is_told_is_the_measured_one(server: RealComfyUI) -> None:
    """Not the five seconds of an unknown job: what jobs really took here, times how many must go first."""
    for salt in range(8):
        until_ended(server, submit(server, quick(100 + salt))["id"])
    gate = f"gate-{uuid.uuid4()}"
    occupy(server, gate)
    try:
        fill(server)

        def by_the_metrics() -> float:
            busy = max(reading(server, "expeditor_worker_busy_ratio"), 0.05)
            rate = reading(server, "expeditor_drain_rate_jobs_per_second")
            return min(max((JOBS - REOPENS_AT) * busy / rate, 1), 300)

        before = by_the_metrics()
        told_s = int(put(server, "/prompt", "late").headers["Retry-After"])
        after = by_the_metrics()
        assert math.floor(min(before, after)) <= told_s <= math.ceil(max(before, after)) + 1
        assert told_s != (JOBS - REOPENS_AT) * 5, "this is what is told without a measurement"
    finally:
        server.post("/queue", json={"clear": True})
        open_gate(server, gate)


def test_readiness_turns_at_nine_tenths_of_the_bytes_too(server: RealComfyUI, held: str) -> None:
    assert server.get("/expeditor/ready").status_code == 200
    assert put(server, "/prompt", "ada", extra_data={"note": "x" * 91_000}).ok
    answer = server.get("/expeditor/ready")
    assert (answer.status_code, "max_waiting_bytes" in answer.json()["reason"]) == (503, True)
    assert put(server, "/prompt", "ada").ok, "it takes jobs until it is full"
