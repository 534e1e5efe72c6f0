"""Streams of events of a real ComfyUI: whole, in order, over restarts; progress and previews; who is gone or slow hurts nobody."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.host.jobs_client import occupy, quick, submit, until_ended, until_status
from tests.host.socket_reader import SocketReader
from tests.host.stock_walk import TEST_NODES, gate_prompt, image_prompt, open_gate
from tests.host.stream_reader import Reader
from tests.support.comfy_server import RealComfyUI
from tests.support.examples import EXAMPLES
from tests.support.waiting import wait_until

ORIGIN = "http://elsewhere.example"


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    env = {"EXPEDITOR_STREAM_HEARTBEAT_S": "0.5"}
    with RealComfyUI(packs=[TEST_NODES], env=env, args=["--enable-cors-header", ORIGIN]) as running:
        yield running


def kept(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in told if "number" in event]


def streams(server: RealComfyUI) -> int:
    found = re.search(r"^expeditor_event_streams (\d+)", server.get("/expeditor/metrics").text, re.MULTILINE)
    assert found is not None
    return int(found.group(1))


def test_a_jobs_stream_tells_its_life_and_its_outputs_before_its_end(server):
    job = submit(server, image_prompt(11))
    reader = Reader(server, f"/expeditor/jobs/{job['id']}/events")
    told = kept(reader.all())
    assert [event["type"] for event in told] == ["job.queued", "job.started", "job.output", "job.succeeded"]
    assert [event["number"] for event in told] == [1, 2, 3, 4]
    output = until_ended(server, job["id"])["outputs"][0]
    assert (told[2]["output"]["name"], told[2]["output"]["folder"]) == (output["name"], "output")
    assert reader.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert reader.headers["X-Accel-Buffering"] == "no"
    again = Reader(server, f"/api/expeditor/jobs/{job['id']}/events")
    assert again.all() == told


def test_progress_and_previews_of_a_running_job(server):
    prompt = {
        "1": {
            "class_type": "ExpeditorTestSleepy",
            "inputs": {"seconds": 2.5, "steps": 25, "salt": 5, "preview": True},
        }
    }
    job = submit(server, prompt)
    told = Reader(server, f"/expeditor/jobs/{job['id']}/events").all()
    values = [event["progress"]["value"] for event in told if event["type"] == "job.progress"]
    assert values == sorted(values)
    assert 2 <= len(values) <= 9, values
    previews = [event for event in told if event["type"] == "job.preview"]
    assert 1 <= len(previews) <= 7
    assert {(event["node_id"], event["content_type"]) for event in previews} == {("1", "image/jpeg")}
    assert previews[0]["data_base64"].startswith("/9j/")
    assert told[-1]["type"] == "job.succeeded"
    assert [event["number"] for event in kept(told)] == list(range(1, len(kept(told)) + 1))


def test_all_jobs_of_one_principal(server):
    everybody = Reader(server, "/expeditor/events?types=job.succeeded", last="job.succeeded")
    mine = Reader(server, "/expeditor/events?principal=stream-ada", last="job.succeeded")
    other = submit(server, quick(900), client_id="stream-bob")
    until_ended(server, other["id"])
    own = submit(server, quick(901), client_id="stream-ada")
    assert {event["job_id"] for event in mine.all()} == {own["id"]}
    assert [event["job_id"] for event in everybody.all()] == [other["id"]]


def test_the_page_hears_the_same_on_its_socket(server):
    client = str(uuid.uuid4())
    with SocketReader(server, client) as socket:
        job = submit(server, image_prompt(12), client_id=client)
        until_ended(server, job["id"])
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1]["type"] != "job.succeeded":
            frame = socket.read()
            if frame.kind == "expeditor.event":
                heard.append(frame.data)
    assert heard == kept(Reader(server, f"/expeditor/jobs/{job['id']}/events").all())


def test_a_reader_that_goes_away_is_let_go_of(server):
    held = occupy(server, "stream-gate")
    wait_until(lambda: streams(server) == 0, what="the streams of earlier tests to be gone")
    answers = [urllib.request.urlopen(f"{server.url}/expeditor/jobs/{held}/events", timeout=20) for _ in range(5)]
    assert streams(server) == 5
    for answer in answers:
        answer.close()
    wait_until(lambda: streams(server) == 0)
    open_gate(server, "stream-gate")
    until_ended(server, held)


def test_the_example_follows_a_job(server, tmp_path: Path):
    file = tmp_path / "prompt.json"
    file.write_text(json.dumps(image_prompt(13)), encoding="utf-8")
    command = [sys.executable, str(EXAMPLES / "follow_job.py"), str(file), "--url", server.url]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    types = [line.split()[1] for line in ran.stdout.splitlines() if "job.progress" not in line]
    assert (types, ran.returncode) == (["job.queued", "job.started", "job.output", "job.succeeded"], 0), ran.stderr


def test_a_stream_goes_on_after_a_restart():
    with RealComfyUI(packs=[TEST_NODES]) as server:
        first = submit(server, gate_prompt("half-way"))
        second = submit(server, quick(1))
        one = Reader(server, f"/expeditor/jobs/{first['id']}/events")
        everything = Reader(server, "/expeditor/events")
        until_status(server, first["id"], "running")
        wait_until(lambda: "job.started" in one.types())
        server.kill()
        seen, seen_by_all = kept(one.all()), kept(everything.all())
        server.restart()
        open_gate(server, "half-way")
        more = Reader(server, f"/expeditor/jobs/{first['id']}/events", after=one.cursor)
        numbers = [event["number"] for event in seen + kept(more.all())]
        assert numbers == list(range(1, len(numbers) + 1))
        assert more.types()[-1] == "job.succeeded"
        until_ended(server, second["id"])
        rest = Reader(server, "/expeditor/events", last="job.succeeded", after=everything.cursor)
        while [event["job_id"] for event in rest.all()][-1] != second["id"]:
            seen_by_all += kept(rest.told)
            rest = Reader(server, "/expeditor/events", last="job.succeeded", after=rest.cursor)
        seen_by_all += kept(rest.told)
        for job in (first, second):
            whole = kept(Reader(server, f"/expeditor/jobs/{job['id']}/events").all())
            told = [event for event in seen_by_all if event["job_id"] == job["id"]]
            assert told == whole[len(whole) - len(told) :]
        assert len({event["cursor"] for event in seen_by_all}) == len(seen_by_all)


def test_open_streams_do_not_keep_the_server_from_stopping(server):
    """The last test: the server is gone then."""
    reader = Reader(server, "/expeditor/events")
    server.terminate()
    reader.all()
    assert not server.running
