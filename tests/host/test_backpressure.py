"""Back-pressure on a real server with a limit of five: what is refused, in which words, and that a client that backs off
gets every job in exactly once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.host.jobs_client import job, occupy, quick, until_ended
from tests.host.stock_walk import TEST_NODES, open_gate
from tests.support.comfy_server import RealComfyUI
from tests.support.examples import EXAMPLES
from tests.support.waiting import wait_until

LIMIT = 5
DRAIN_DEADLINE_S = 300


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES], env={"EXPEDITOR_MAX_WAITING_JOBS": str(LIMIT)}) as running:
        yield running


@pytest.fixture
def held(server: RealComfyUI) -> Iterator[str]:
    """The machine is busy with one job, and nothing else waits; at the end the line is worked off."""
    gate = f"gate-{uuid.uuid4()}"
    occupy(server, gate)
    yield gate
    open_gate(server, gate)
    until_empty(server)


def until_empty(server: RealComfyUI) -> None:
    def empty() -> bool:
        depth = server.get("/expeditor/queue").json()
        return (depth["waiting"], depth["running"]) == (0, 0)

    wait_until(empty, 60, what="the line to be worked off")


def waiting(server: RealComfyUI) -> int:
    return server.get("/expeditor/queue").json()["waiting"]


def put(server: RealComfyUI, door: str, salt: int) -> requests.Response:
    return server.post(door, json={"prompt": quick(salt)})


def fill(server: RealComfyUI, jobs: int = LIMIT) -> None:
    for salt in range(jobs):
        assert put(server, "/expeditor/submit", salt).status_code == 201


def counted(server: RealComfyUI, name: str) -> dict[tuple[str, ...], float]:
    """A metric's samples by the values of their labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(server.get("/expeditor/metrics").text)
        for sample in family.samples
        if sample.name == name
    }


def test_fifty_submits_at_once_at_both_doors_get_five_in(server: RealComfyUI, held: str) -> None:
    refused_before = counted(server, "expeditor_request_errors_total").get(("QUEUE_FULL",), 0)
    doors = ["/expeditor/submit", "/prompt"] * 25
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda numbered: put(server, numbered[1], numbered[0]), enumerate(doors)))
    accepted = [answer for answer in answers if answer.ok]
    refused = [answer for answer in answers if not answer.ok]
    assert len(accepted) == LIMIT
    assert {(answer.status_code, answer.reason) for answer in refused} == {(429, "QUEUE_FULL")}
    assert all(1 <= int(answer.headers["Retry-After"]) <= 300 for answer in refused)
    assert waiting(server) == len(server.get("/queue").json()["queue_pending"]) == LIMIT
    assert counted(server, "expeditor_queue_capacity") == {(): LIMIT}
    refused_after = counted(server, "expeditor_request_errors_total")["QUEUE_FULL",]
    assert refused_after - refused_before == len(refused) == 45


def test_a_refusal_at_our_door_is_our_envelope(server: RealComfyUI, held: str) -> None:
    fill(server)
    answer = put(server, "/expeditor/submit", 99)
    error = answer.json()["error"]
    assert (answer.status_code, answer.headers["X-Expeditor-Code"], error["code"]) == (429, "QUEUE_FULL", "QUEUE_FULL")
    assert error["details"] == {"limit": "max_waiting_jobs", "most": LIMIT, "used": LIMIT}


def test_a_refusal_at_the_stock_door_is_cores_shape_with_our_code(server: RealComfyUI, held: str) -> None:
    fill(server)
    prompt_id = str(uuid.uuid4())
    answer = server.post("/prompt", json={"prompt": quick(99), "prompt_id": prompt_id})
    body = answer.json()
    assert (answer.status_code, answer.headers["X-Expeditor-Code"]) == (429, "QUEUE_FULL")
    assert (body["error"]["type"], body["node_errors"]) == ("QUEUE_LIMIT", {})
    assert body["error"]["message"].startswith("QUEUE_FULL: ")
    assert body["error"]["extra_info"]["code"] == "QUEUE_FULL"
    assert server.get(f"/expeditor/jobs/{prompt_id}").status_code == 404
    assert prompt_id not in server.get("/queue").text


@pytest.mark.parametrize("door", ["/expeditor/submit", "/prompt", "/api/prompt"])
def test_plain_clients_find_the_code_in_their_error(server: RealComfyUI, held: str, door: str) -> None:
    fill(server)
    body = {"prompt": quick(99)}
    request = urllib.request.Request(server.url + door, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as by_urllib:
        urllib.request.urlopen(request, timeout=60)
    with by_urllib.value as error:
        assert "QUEUE_FULL" in str(error)
    with pytest.raises(requests.HTTPError) as by_requests:
        server.post(door, json=body).raise_for_status()
    assert "QUEUE_FULL" in str(by_requests.value)


@pytest.mark.parametrize("door", ["/expeditor/submit", "/prompt"])
def test_a_job_that_is_in_is_told_so_also_when_the_line_is_full(server: RealComfyUI, held: str, door: str) -> None:
    body = {"prompt": quick(0), "prompt_id": str(uuid.uuid4())}
    assert server.post(door, json=body).ok
    fill(server, LIMIT - 1)
    assert put(server, door, 99).status_code == 429
    assert server.post(door, json=body).status_code == 200
    assert server.post(door, json={**body, "prompt": quick(1)}).reason == "CONFLICT"


def test_readiness_turns_before_the_line_is_full(server: RealComfyUI, held: str) -> None:
    for salt in range(LIMIT - 1):
        assert server.get("/expeditor/ready").status_code == 200
        put(server, "/prompt", salt)
    answer = server.get("/expeditor/ready")
    assert answer.status_code == 503
    assert "4 of 5 jobs wait" in answer.json()["reason"]
    assert server.get("/expeditor/health").json()["status"] == "ok"
    assert put(server, "/prompt", 99).status_code == 200


def test_a_canceled_job_makes_room(server: RealComfyUI, held: str) -> None:
    fill(server)
    assert put(server, "/prompt", 99).status_code == 429
    first = server.get("/expeditor/jobs?status=queued&limit=1").json()["jobs"][0]["id"]
    server.post(f"/expeditor/jobs/{first}/cancel")
    assert put(server, "/prompt", 99).status_code == 200
    assert put(server, "/prompt", 98).status_code == 429


def test_what_waited_before_a_crash_still_fills_the_line(server: RealComfyUI, held: str) -> None:
    fill(server)
    server.restart()
    # The job that ran waits again, or runs again already: it never counts against those that were accepted.
    assert put(server, "/prompt", 99).status_code == 429
    assert waiting(server) >= LIMIT


# -- examples/backoff_client.py ------------------------------------------------------------------------------------------


class LosingProxy(ThreadingHTTPServer):
    """In front of a server: hands every request on, and loses each fourth answer to a POST after the server gave it."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.target = target
        self.posts = 0
        self.lost = 0
        self.refused = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Forward(BaseHTTPRequestHandler):
    server: LosingProxy  # pyright: ignore[reportIncompatibleVariableOverride]

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = {name: self.headers[name] for name in ("Content-Type", "Idempotency-Key") if name in self.headers}
        answer = requests.request(self.command, self.server.target + self.path, data=body, headers=told, timeout=60)
        if self.command == "POST":
            self.server.posts += 1
            self.server.refused += answer.status_code == 429
            if self.server.posts % 4 == 0:
                self.server.lost += answer.ok
                self.close_connection = True
                return
        self.send_response(answer.status_code, answer.reason)
        if "Retry-After" in answer.headers:
            self.send_header("Retry-After", answer.headers["Retry-After"])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = _forward  # noqa: N815 - the library's names

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_the_backoff_client_gets_ten_times_the_limit_in_exactly_once(server: RealComfyUI, tmp_path: Path) -> None:
    until_empty(server)
    known = {each["id"] for each in server.get("/expeditor/jobs?limit=1000").json()["jobs"]}
    prompt = tmp_path / "prompt.json"
    prompt.write_text(json.dumps(quick(7)), encoding="utf-8")
    gate = f"gate-{uuid.uuid4()}"
    holding = occupy(server, gate)
    proxy = LosingProxy(server.url)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    arguments = [str(EXAMPLES / "backoff_client.py"), str(prompt), "--times", str(10 * LIMIT), "--url", proxy.url]
    client = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: proxy.refused > 0, 60, what="the first refusal")
        assert waiting(server) == LIMIT
        open_gate(server, gate)
        said, complaints = client.communicate(timeout=DRAIN_DEADLINE_S)
    finally:
        open_gate(server, gate)
        client.kill()
        client.wait()
        proxy.shutdown()
        proxy.server_close()
    assert client.returncode == 0, complaints
    assert "HTTP Error 429: QUEUE_FULL" in complaints
    assert proxy.lost > 0, "no answer to an accepted submit was lost, so nothing was shown"
    accepted = said.split()
    assert len(set(accepted)) == len(accepted) == 10 * LIMIT
    there = {each["id"] for each in server.get("/expeditor/jobs?limit=1000").json()["jobs"]} - known - {holding}
    assert there == set(accepted), "a job was lost, or one came in twice"
    ended = [until_ended(server, job_id) for job_id in accepted]
    assert {(each["status"], each["attempt"]) for each in ended} == {("succeeded", 1)}
    assert job(server, holding)["status"] == "succeeded"


def test_the_backoff_client_gives_up_on_a_faulty_prompt(server: RealComfyUI, tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.json"
    prompt.write_text(json.dumps({"1": {"class_type": "EmptyImge", "inputs": {}}}), encoding="utf-8")
    arguments = [str(EXAMPLES / "backoff_client.py"), str(prompt), "--url", server.url]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "HTTP Error 422: UNKNOWN_NODE" in done.stderr
