"""The plain Redis door (examples/redis_bridge.py): a real Redis, a real ComfyUI with Expeditor, consumers that are killed.

Whatever happens to a consumer, every message ends once: on the channel, under its key, and on the submitter's socket.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import websocket
from aiohttp import web

from tests.host.jobs_client import job, occupy, quick, submit, until_ended, until_status
from tests.host.stock_walk import TEST_NODES, gate_prompt, image_prompt, open_gate
from tests.support.comfy_server import RealComfyUI, free_port
from tests.support.examples import EXAMPLES, example_module
from tests.support.redis_server import RedisServer
from tests.support.served import LossyProxy, Served
from tests.support.waiting import wait_until

BRIDGE = example_module("redis_bridge")
LEASE_S = "3"
UNKNOWN_CLASS = {"1": {"class_type": "EmptyImge", "inputs": {}}}


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES], env={"EXPEDITOR_MAX_WAITING_JOBS": "40"}) as running:
        yield running


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def line(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis_server.client() as client:
        client.flushall()
        yield client


class Channel:
    """Counts what is published, by prompt id, from its making on."""

    def __init__(self, redis_server: RedisServer) -> None:
        self.ends: Counter[str] = Counter()
        self._client = redis_server.client()
        self._heard = self._client.pubsub()
        self._heard.subscribe(BRIDGE.DONE)
        assert self._heard.get_message(timeout=10) is not None

    def read(self) -> Counter[str]:
        while message := self._heard.get_message(timeout=0.05):
            self.ends[json.loads(message["data"])["prompt_id"]] += 1
        return self.ends

    def close(self) -> None:
        self._heard.close()
        self._client.close()


@pytest.fixture
def channel(redis_server: RedisServer, line: redis.Redis) -> Iterator[Channel]:
    listening = Channel(redis_server)
    yield listening
    listening.close()


@contextmanager
def consumer(
    redis_server: RedisServer, url: str, name: str = "one", said: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A consumer process; killed at the end."""
    command = [sys.executable, str(EXAMPLES / "redis_bridge.py"), "--redis", redis_server.url, "consume", "--url", url]
    options: dict[str, Any] = {"stderr": subprocess.DEVNULL if said is None else said, "text": True}
    process = subprocess.Popen([*command, "--name", name, "--lease", LEASE_S], **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
        if process.stderr is not None:
            process.stderr.close()


def mine(line: redis.Redis, name: str = "one") -> int:
    """How many messages are on a consumer's list."""
    return line.llen(f"{BRIDGE.QUEUE}:processing:{name}")


def ended_once(line: redis.Redis, channel: Channel, *prompt_ids: str, deadline_s: float = 60.0) -> list[dict[str, Any]]:
    """What is stored of each, once all were told and nothing of them lies in Redis; each was published once."""
    wait_until(lambda: channel.read().keys() >= set(prompt_ids), deadline_s, what="the ends on the channel")
    wait_until(lambda: line.llen(BRIDGE.QUEUE) + sum(line.llen(k) for k in line.keys("*:processing:*")) == 0)
    assert channel.read() == Counter(prompt_ids)
    return [json.loads(line.get(f"{BRIDGE.DONE}:{each}") or "{}") for each in prompt_ids]


def slow(salt: int) -> dict[str, Any]:
    """Long enough that consumers die while it waits or runs."""
    return {"1": {"class_type": "ExpeditorTestSleepy", "inputs": {"seconds": 0.1, "steps": 1, "salt": 1000 + salt}}}


class Ears:
    """The submitter's socket at ComfyUI: how often each prompt was said to be over."""

    def __init__(self, server: RealComfyUI) -> None:
        self.client_id = str(uuid.uuid4())
        self.ends: Counter[str] = Counter()
        self._socket = websocket.create_connection(f"{server.ws_url}?clientId={self.client_id}", timeout=60)
        self._socket.recv()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        try:
            while raw := self._socket.recv():
                message = json.loads(raw) if isinstance(raw, str) else {}
                if message.get("type") == "executing" and message["data"]["node"] is None:
                    self.ends[message["data"]["prompt_id"]] += 1
        except (websocket.WebSocketException, OSError):
            return

    def all_of(self, jobs: int) -> Counter[str]:
        """The ends of so many jobs, and what came after them; closes the socket."""
        try:
            wait_until(lambda: len(self.ends) >= jobs)
        finally:
            self._socket.shutdown()
            self._thread.join(10)
        return self.ends


def test_a_push_becomes_a_picture_and_its_end_is_told_to_who_listens_and_who_asks_late(
    server: RealComfyUI, redis_server: RedisServer, line: redis.Redis, channel: Channel, tmp_path: Path
) -> None:
    prompt = tmp_path / "prompt.json"
    prompt.write_text(json.dumps(image_prompt(7)), encoding="utf-8")
    produce = [sys.executable, str(EXAMPLES / "redis_bridge.py"), "--redis", redis_server.url, "produce", str(prompt)]
    with consumer(redis_server, server.url):
        done = subprocess.run([*produce, "--wait"], capture_output=True, text=True, timeout=60, check=True)
        prompt_id, end = done.stdout.splitlines()
        [stored] = ended_once(line, channel, prompt_id)
    assert stored == json.loads(end)
    assert (stored["prompt_id"], stored["status"], stored["cause"]) == (prompt_id, "succeeded", None)
    assert server.get(stored["outputs"][0]["url"].removeprefix(server.url)).content.startswith(b"\x89PNG")
    assert BRIDGE.wait_for_end(line, prompt_id, 1) == stored
    with pytest.raises(TimeoutError):
        BRIDGE.wait_for_end(line, str(uuid.uuid4()), 0.1)


def test_what_cannot_run_goes_to_the_dead_list_with_its_reason_and_the_rest_goes_on(
    server: RealComfyUI, redis_server: RedisServer, line: redis.Redis, channel: Channel
) -> None:
    deep = b"[" * 200_000
    for message in (b"no json \xff", b"[]", b'{"prompt": {}}', deep):
        line.rpush(BRIDGE.QUEUE, message)
    refused = BRIDGE.produce(line, UNKNOWN_CLASS)
    misspelt = BRIDGE.produce(line, quick(1), prioritty=3)
    taken = submit(server, quick(2), prompt_id=str(uuid.uuid4()))["id"]
    BRIDGE.produce(line, quick(3), taken)
    fails = BRIDGE.produce(line, {"1": {"class_type": "ExpeditorTestRaises", "inputs": {}}})
    fine = BRIDGE.produce(line, quick(4), priority=9)
    with consumer(redis_server, server.url):
        ends = ended_once(line, channel, refused, misspelt, taken, fails, fine)
    assert [end["status"] for end in ends] == ["refused"] * 3 + ["failed", "succeeded"]
    assert [end["cause"] for end in ends] == ["UNKNOWN_NODE", "INPUT_INVALID", "CONFLICT", "NODE_ERROR", None]
    assert "did you mean 'EmptyImage'" in json.dumps(ends[0]["error"])
    dead = [json.loads(each) for each in line.lrange(BRIDGE.DEAD, 0, -1)]
    assert Counter(each["reason"].split(":")[0] for each in dead) == {
        "INVALID_JSON": 2,
        "INVALID_MESSAGE": 2,
        "UNKNOWN_NODE": 1,
        "INPUT_INVALID": 1,
        "CONFLICT": 1,
    }
    assert deep.decode() in {each["message"] for each in dead}
    assert job(server, fine)["priority"] == 9


def test_killed_after_the_move_and_before_the_submit(
    server: RealComfyUI, redis_server: RedisServer, line: redis.Redis, channel: Channel
) -> None:
    prompt_id = BRIDGE.produce(line, quick(10))
    with consumer(redis_server, f"http://127.0.0.1:{free_port()}"):
        wait_until(lambda: mine(line) == 1)
    assert server.get(f"/expeditor/jobs/{prompt_id}").status_code == 404
    with consumer(redis_server, server.url):
        ended_once(line, channel, prompt_id)


def test_killed_when_the_submits_answer_was_lost(
    server: RealComfyUI, redis_server: RedisServer, line: redis.Redis, channel: Channel
) -> None:
    prompt_id = BRIDGE.produce(line, gate_prompt("lost-answer"))
    with LossyProxy(server.port) as proxy:
        proxy.losses = 1
        with consumer(redis_server, proxy.url):
            until_there = f"/expeditor/jobs/{prompt_id}"
            wait_until(lambda: server.get(until_there).status_code == 200)
    with consumer(redis_server, server.url):
        wait_until(lambda: mine(line) == 1)
        open_gate(server, "lost-answer")
        [end] = ended_once(line, channel, prompt_id)
    assert (end["status"], len(job(server, prompt_id)["attempts"])) == ("succeeded", 1)


def test_killed_while_the_job_runs_and_back_when_it_has_ended(
    server: RealComfyUI, redis_server: RedisServer, line: redis.Redis, channel: Channel
) -> None:
    prompt_id = BRIDGE.produce(line, gate_prompt("ended-alone"))
    with consumer(redis_server, server.url):
        wait_until(lambda: server.get(f"/expeditor/jobs/{prompt_id}").status_code == 200)
        until_status(server, prompt_id, "running")
    open_gate(server, "ended-alone")
    until_ended(server, prompt_id)
    assert channel.read() == Counter()
    with consumer(redis_server, server.url):
        ended_once(line, channel, prompt_id)


def test_another_consumer_takes_over_from_one_that_froze_and_the_end_is_told_once(
    server: RealComfyUI, redis_server: RedisServer, line: redis.Redis, channel: Channel
) -> None:
    prompt_id = BRIDGE.produce(line, gate_prompt("frozen"))
    with consumer(redis_server, server.url) as frozen:
        wait_until(lambda: server.get(f"/expeditor/jobs/{prompt_id}").status_code == 200)
        until_status(server, prompt_id, "running")
        frozen.send_signal(signal.SIGSTOP)
        with consumer(redis_server, server.url, "two"):
            wait_until(lambda: (mine(line), mine(line, "two")) == (0, 1))
            frozen.send_signal(signal.SIGCONT)  # both wait for the same job now
            open_gate(server, "frozen")
            ended_once(line, channel, prompt_id)
            later = BRIDGE.produce(line, quick(11))
            wait_until(lambda: channel.read()[later] == 1)
    assert channel.read() == Counter([prompt_id, later])


def test_a_planned_stop_hands_its_messages_over_at_once(
    server: RealComfyUI, redis_server: RedisServer, line: redis.Redis, channel: Channel
) -> None:
    prompt_id = BRIDGE.produce(line, gate_prompt("stopped"))
    with consumer(redis_server, server.url) as stopped:
        wait_until(lambda: server.get(f"/expeditor/jobs/{prompt_id}").status_code == 200)
        stopped.terminate()
        assert stopped.wait(10) == 0
    assert line.zscore(BRIDGE.CONSUMERS, "one") == 0
    open_gate(server, "stopped")
    with consumer(redis_server, server.url, "two"):
        ended_once(line, channel, prompt_id)


def test_a_full_queue_is_waited_out(
    server: RealComfyUI, redis_server: RedisServer, line: redis.Redis, channel: Channel
) -> None:
    occupy(server, "bridge-full")
    for salt in range(40):
        submit(server, quick(100 + salt))
    prompt_id = BRIDGE.produce(line, quick(12))
    with consumer(redis_server, server.url, said=subprocess.PIPE) as waiting:
        assert waiting.stderr is not None
        assert waiting.stderr.readline().startswith("429 QUEUE_FULL; again in ")
        open_gate(server, "bridge-full")
        ended_once(line, channel, prompt_id)


def test_redis_is_killed_while_jobs_run(
    server: RealComfyUI, redis_server: RedisServer, line: redis.Redis, channel: Channel
) -> None:
    prompt_id = BRIDGE.produce(line, gate_prompt("redis-killed"))
    with consumer(redis_server, server.url):
        wait_until(lambda: server.get(f"/expeditor/jobs/{prompt_id}").status_code == 200)
        redis_server.kill()
        open_gate(server, "redis-killed")
        until_ended(server, prompt_id)
        redis_server.start()
        wait_until(lambda: line.get(f"{BRIDGE.DONE}:{prompt_id}") is not None, 30)
        assert mine(line) == 0


def test_a_wrong_address_stops_the_consumer_and_loses_nothing(redis_server: RedisServer, line: redis.Redis) -> None:
    BRIDGE.produce(line, quick(13))
    with (
        Served(web.Application()) as other,
        consumer(redis_server, other.url, said=subprocess.PIPE) as lost,
    ):
        assert lost.wait(20) == 2
        assert lost.stderr is not None
        assert "Nothing is lost" in lost.stderr.read()
    assert (mine(line), line.llen(BRIDGE.DEAD)) == (1, 0)


def test_consumers_killed_again_and_again_lose_and_double_nothing(
    server: RealComfyUI, redis_server: RedisServer, line: redis.Redis, channel: Channel, request: pytest.FixtureRequest
) -> None:
    rng, in_hand = random.Random(5), 0
    jobs, kills = (600, 60) if request.config.getoption("--full") else (60, 5)
    ears = Ears(server)
    pushed = [BRIDGE.produce(line, slow(salt), client_id=ears.client_id) for salt in range(jobs)]
    for again in rng.sample(pushed, jobs // 10):  # a producer that was not sure
        salt = pushed.index(again)
        BRIDGE.produce(line, slow(salt), again, client_id=ears.client_id)
    for kill in range(kills):
        told = min(len(channel.read()) + rng.randrange(1, jobs // kills), jobs)
        with consumer(redis_server, server.url, f"killed-{kill % 2}"):
            wait_until(lambda told=told: len(channel.read()) >= told, 60)
        in_hand += mine(line, f"killed-{kill % 2}") > 0
    assert in_hand >= kills // 2
    with consumer(redis_server, server.url, "heir"):
        ends = ended_once(line, channel, *pushed)
    assert {end["status"] for end in ends} == {"succeeded"}
    assert {len(job(server, each)["attempts"]) for each in pushed} == {1}
    assert ears.all_of(jobs) == Counter(pushed)
