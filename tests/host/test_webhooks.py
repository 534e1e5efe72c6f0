"""Webhooks of a real server, to a real receiver: signed, in order, at least once, also when one of the two dies in between."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
import requests

from expeditor.events.webhooks.signing import new_secret
from tests.host.jobs_client import submit, until_ended
from tests.support.comfy_server import RealComfyUI
from tests.support.examples import EXAMPLES
from tests.support.waiting import wait_until
from tests.support.webhook_receiver import Received, Receiver, answer_with

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
PATH_SECRET = "nobody-may-read-this"
ENDS = ["job.started", "job.output", "job.succeeded"]
SETTINGS = {
    "EXPEDITOR_WEBHOOK_SECRET": SECRET,
    "EXPEDITOR_WEBHOOK_ALLOW_HTTP": "true",
    "EXPEDITOR_WEBHOOK_ALLOW_NETWORKS": '["127.0.0.0/8"]',
    "EXPEDITOR_WEBHOOK_RETRY_DELAYS_S": "[0.3, 0.3, 0.5, 0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]",
    "EXPEDITOR_PUBLIC_URL": "https://comfy.example.com/base/",
}


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(env=SETTINGS) as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(secret=SECRET) as made:
        yield made


def picture(salt: int) -> dict[str, Any]:
    """A prompt that makes one file at once, never from the cache of another salt."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": salt}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "webhook"}},
    }


def submitted(server: RealComfyUI, target: Receiver, salt: int, **webhook: Any) -> str:
    """A job that ends by itself and tells `target`."""
    url = f"{target.url}/{PATH_SECRET}"
    return submit(server, picture(salt), webhook={"url": url, **webhook} if webhook else url)["id"]


def deliveries(server: RealComfyUI, job_id: str, **query: str) -> list[dict[str, Any]]:
    return server.get("/expeditor/deliveries", params={"job_id": job_id, **query}).json()["deliveries"]


def until_received(receiver: Receiver, count: int, deadline_s: float = 30.0) -> list[Received]:
    wait_until(lambda: len(receiver.received) >= count, deadline_s, what=f"{count} messages")
    return list(receiver.received)


def until_settled(server: RealComfyUI, job_id: str, status: str, count: int = 1) -> list[dict[str, Any]]:
    return wait_until(
        lambda: found if len(found := deliveries(server, job_id, status=status)) >= count else None,
        30.0,
        what=f"{count} deliveries to be {status}",
    )


def test_the_end_of_a_job_is_told_signed_and_with_its_files(server: RealComfyUI, receiver: Receiver) -> None:
    job_id = submitted(server, receiver, 1)
    (got,) = until_received(receiver, 1)
    until_settled(server, job_id, "delivered")
    message, job = got.message, got.message["data"]["job"]
    assert got.genuine
    assert (message["type"], job["id"], job["status"]) == ("job.succeeded", job_id, "succeeded")
    assert message["data"]["event"]["job_id"] == job_id
    prefix = "https://comfy.example.com/base"
    assert job["outputs"]
    for output in job["outputs"]:
        assert output["url"].startswith(prefix)
        assert server.get(output["url"].removeprefix(prefix)).status_code == 200
    assert len(receiver.received) == 1


def test_the_events_that_were_asked_for_come_in_their_order(server: RealComfyUI, receiver: Receiver) -> None:
    jobs = [submitted(server, receiver, 10 + n, events=ENDS) for n in range(5)]
    got = until_received(receiver, 15)
    for job_id in jobs:
        own = [each.message["data"]["event"] for each in got if each.message["data"]["job"]["id"] == job_id]
        assert [event["type"] for event in own] == ENDS
        assert sorted(event["number"] for event in own) == [event["number"] for event in own]
    assert all(each.genuine for each in got)


def test_a_receiver_that_is_away_hears_later_and_jobs_go_on(server: RealComfyUI) -> None:
    with Receiver(secret=SECRET) as gone:
        port = gone.port
    job_id = submitted(server, gone, 20)
    assert until_ended(server, job_id)["status"] == "succeeded"
    tried = wait_until(
        lambda: [each for each in deliveries(server, job_id) if each["attempt_count"]], what="a first try"
    )
    assert tried[0]["last_error"].startswith("No connection")
    with Receiver(secret=SECRET, port=port) as back:
        (got,) = until_received(back, 1, deadline_s=60.0)
        assert got.message["data"]["job"]["id"] == job_id


@pytest.mark.parametrize(("status", "tries"), [(500, 2), (302, 2), (404, 2)])
def test_a_refusal_is_tried_again(server: RealComfyUI, receiver: Receiver, status: int, tries: int) -> None:
    receiver.answer = answer_with(status, Location="http://127.0.0.1:1/")
    job_id = submitted(server, receiver, 30 + status)
    until_received(receiver, tries)
    receiver.answer = answer_with(200)
    (told,) = until_settled(server, job_id, "delivered")
    one = server.get(told["links"]["self"]).json()
    assert [each["status_code"] for each in one["attempts"]][: tries - 1] == [status] * (tries - 1)
    assert len({each.id for each in receiver.received}) == 1
    assert len({each.body for each in receiver.received}) == 1


def test_gone_ends_it_and_a_replay_begins_again(server: RealComfyUI, receiver: Receiver) -> None:
    receiver.answer = answer_with(410)
    job_id = submitted(server, receiver, 40, events=ENDS)
    until_settled(server, job_id, "failed")
    until_ended(server, job_id)
    assert receiver.types() == ["job.started"]
    receiver.answer = answer_with(200)
    first = deliveries(server, job_id, status="failed")[-1]["id"]
    assert server.post(f"/expeditor/deliveries/{first}/replay").json()["status"] == "pending"
    got = until_received(receiver, 2)
    assert got[0].id == got[1].id == first


def test_a_dead_target_does_not_hold_up_another(server: RealComfyUI, receiver: Receiver) -> None:
    let_go = threading.Event()
    with Receiver(secret=SECRET, answer=lambda handler, got: let_go.wait(60)) as dead:
        jobs = [submitted(server, dead, 50 + n) for n in range(6)]
        alive = submitted(server, receiver, 59)
        until_received(receiver, 1)
        assert [each.message["data"]["job"]["id"] for each in receiver.received] == [alive]
        assert len(dead.received) <= 4
        let_go.set()
        for job_id in jobs:
            until_ended(server, job_id)


def test_a_kill_loses_nothing_and_repeats_under_the_same_id(server: RealComfyUI) -> None:
    """One message whose receiver is away, and one that has arrived while nobody has noted it."""
    let_go = threading.Event()
    with Receiver(secret=SECRET) as away:
        port = away.port
    with Receiver(secret=SECRET, answer=lambda handler, got: let_go.wait(60)) as receiver:
        undelivered, unnoted = submitted(server, away, 60), submitted(server, receiver, 61)
        until_ended(server, undelivered)
        until_received(receiver, 1)
        server.kill()
        let_go.set()
        receiver.answer = answer_with(204)
        with Receiver(secret=SECRET, port=port) as back:
            server.start()
            got = until_received(back, 1)
            until_settled(server, undelivered, "delivered")
            assert {each.message["data"]["job"]["id"] for each in got} == {undelivered}
        until_settled(server, unnoted, "delivered")
        assert (len({each.id for each in receiver.received}), len(receiver.received)) == (1, 2)


@pytest.mark.full
def test_many_kills_while_jobs_run_and_every_end_is_told(server: RealComfyUI) -> None:
    with Receiver(secret=SECRET) as receiver:
        jobs: list[str] = []
        for round_ in range(3):
            jobs += [submitted(server, receiver, 70 + 10 * round_ + n) for n in range(6)]
            wait_until(lambda: receiver.received, what="a first message")
            server.kill()
            server.start()
        for job_id in jobs:
            assert until_ended(server, job_id, 60)["status"] == "succeeded"

        def told() -> bool:
            return {each.message["data"]["job"]["id"] for each in list(receiver.received)} >= set(jobs)

        wait_until(told, 60, what="every end to be told")
        ids = {each.message["data"]["job"]["id"]: set() for each in receiver.received}
        for each in receiver.received:
            ids[each.message["data"]["job"]["id"]].add(each.id)
        assert {len(each) for each in ids.values()} == {1}  # repeats there may be, under one id


def test_nothing_secret_is_logged_or_told(server: RealComfyUI, receiver: Receiver) -> None:
    receiver.answer = answer_with(410)
    job_id = submitted(server, receiver, 99)
    (told,) = until_settled(server, job_id, "failed")
    shown = server.get("/expeditor/deliveries").text + server.get(told["links"]["self"]).text
    for text in (server.log_text(), shown, server.get("/expeditor/metrics").text):
        assert PATH_SECRET not in text
        assert SECRET[6:] not in text
    assert 'webhook_deliveries_total{outcome="gone"}' in server.get("/expeditor/metrics").text


@pytest.fixture
def example_of(tmp_path: Path) -> Iterator[Callable[[str], tuple[str, IO[str]]]]:
    """Starts the example with a secret; gives its address and what it prints."""
    running: list[subprocess.Popen[str]] = []

    def start(secret: str) -> tuple[str, IO[str]]:
        command = [sys.executable, str(EXAMPLES / "webhook_receiver.py"), "--port", "0"]
        environment = {**os.environ, "WEBHOOK_SECRET": secret}
        running.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        printed = running[-1].stdout
        assert printed is not None
        return printed.readline().split()[-1], printed

    yield start
    for each in running:
        each.kill()
        each.wait(10)
        assert each.stdout is not None
        each.stdout.close()


def test_jobs_go_on_without_an_outbox_and_the_example_hears_of_them_later(
    tmp_path: Path, example_of: Callable[[str], tuple[str, IO[str]]]
) -> None:
    """Signed with the secret that the server makes at its first start, for its user's eyes only."""
    folder = tmp_path / "user" / "__expeditor"
    database = folder / "deliveries.sqlite3"
    database.mkdir(parents=True)  # no file can be opened there
    (folder / "webhook_secret").write_text(new_secret(b"k" * 32), encoding="utf-8")
    url, printed = example_of(new_secret(b"k" * 32))
    settings = {name: value for name, value in SETTINGS.items() if name != "EXPEDITOR_WEBHOOK_SECRET"}
    forged = {"webhook-id": "a", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,AAAA"}
    assert requests.post(url, data=b"{}", headers=forged, timeout=30).status_code == 401
    with RealComfyUI(env=settings, data_dir=tmp_path) as server:
        job_id = submit(server, picture(1), webhook=url)["id"]
        assert until_ended(server, job_id)["status"] == "succeeded"
        assert server.get("/expeditor/deliveries").status_code == 503
        health = server.get("/expeditor/health").json()
        assert (health["status"], health["webhooks"]["open"]) == ("degraded", False)
        assert health["fault"] == f"webhooks: {health['webhooks']['error']}"
        assert server.get("/expeditor/ready").status_code == 200
        server.kill()
        database.rmdir()
        server.start()
        assert printed.readline().split()[:2] == ["job.succeeded", job_id]
        until_settled(server, job_id, "delivered")
