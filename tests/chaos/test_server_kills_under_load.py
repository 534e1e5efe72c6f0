"""`kill -9` of a real ComfyUI again and again while clients submit: each client repeats what was not answered, with its key.

Five kills in every run; fifty with `--full`, in rounds of five on servers of their own.
"""

from __future__ import annotations

import random
import threading
import uuid
from typing import Any

import pytest
import requests

from expeditor.store.base import MAX_DEATHS
from tests.host.jobs_client import quick
from tests.host.stock_walk import TEST_NODES
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

CLIENTS = 3
KILLS = 5
PAUSE_S = 0.25  # between two requests of a client: about what the server works off
PATIENCE_S = 200.0


class Client:
    """Submits one job after the other; a request that got no answer is repeated with the same key until it gets one."""

    def __init__(self, server: RealComfyUI, name: str) -> None:
        self.answered: dict[str, str] = {}  # job id by key
        self.refused: list[str] = []
        self.over = threading.Event()
        self._server = server
        self._rng = random.Random(name)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self.over.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def _work(self) -> None:
        while not self.over.is_set():
            key, prompt, priority = str(uuid.uuid4()), self._prompt(), self._rng.randint(1, 10)
            while key not in self.answered:
                self._ask(key, {"prompt": prompt, "priority": priority})
                self.over.wait(PAUSE_S)

    def _prompt(self) -> dict[str, Any]:
        if self._rng.random() < 0.5:
            return quick(self._rng.randint(1, 10**6))
        inputs = {"seconds": 0.1, "steps": 2, "salt": self._rng.randint(1, 10**6)}
        return {"1": {"class_type": "ExpeditorTestSleepy", "inputs": inputs}}

    def _ask(self, key: str, body: dict[str, Any]) -> None:
        try:
            answer = self._server.post("/expeditor/submit", json=body, headers={"Idempotency-Key": key}, timeout=30)
        except requests.RequestException:
            return  # killed before it answered
        if answer.ok:
            self.answered[key] = answer.json()["id"]
        elif answer.status_code < 500 and answer.status_code != 409:
            self.refused.append(answer.text)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(2, 11))])
def test_no_accepted_job_is_lost_or_doubled(seed: int):
    rng = random.Random(seed)
    with RealComfyUI(packs=[TEST_NODES]) as server:
        clients = [Client(server, f"client-{seed}-{n}") for n in range(CLIENTS)]
        for _ in range(KILLS):
            before, more = _answered(clients), rng.randint(1, 25)
            wait_until(lambda aim=before + more: _answered(clients) >= aim, PATIENCE_S, what="answered submits")
            server.restart()
        for client in clients:
            client.join()
        accepted = {job_id for client in clients for job_id in client.answered.values()}
        wait_until(lambda: _unfinished(server) == 0, PATIENCE_S, 0.2, "the queue empty")
        jobs = _all_jobs(server)

    assert not [told for client in clients for told in client.refused]
    assert len(accepted) == _answered(clients), "two keys, one job"
    assert jobs.keys() == accepted, "a job lost, or one run twice for one key"
    for job in jobs.values():
        ends = [(attempt["outcome"], attempt["cause"]) for attempt in job["attempts"]]
        died = [end for end in ends if end == ("failed", "PROCESS_DIED")]
        if len(died) == MAX_DEATHS:
            assert (job["status"], job["cause"], ends) == ("failed", "POISON", died)
        else:
            assert (job["status"], ends) == ("succeeded", [*died, ("succeeded", None)])
    deaths = sum(attempt["cause"] == "PROCESS_DIED" for job in jobs.values() for attempt in job["attempts"])
    assert deaths <= KILLS


def _answered(clients: list[Client]) -> int:
    return sum(len(client.answered) for client in clients)


def _unfinished(server: RealComfyUI) -> int:
    queue = server.get("/expeditor/queue").json()
    return int(queue["waiting"] + queue["running"])


def _all_jobs(server: RealComfyUI) -> dict[str, dict[str, Any]]:
    jobs: dict[str, dict[str, Any]] = {}
    cursor = ""
    while True:
        page = server.get("/expeditor/jobs", params={"limit": 500, **({"cursor": cursor} if cursor else {})}).json()
        jobs.update({job["id"]: job for job in page["jobs"]})
        cursor = page["next_cursor"]
        if not cursor:
            return jobs
