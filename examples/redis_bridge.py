"""A plain Redis door: who can ``RPUSH`` gives Expeditor work. Redis 6.2 or later, and any instance of Expeditor.

    pip install redis requests
    python examples/redis_bridge.py consume --url http://127.0.0.1:8188      # as many as you like, on any machine
    python examples/redis_bridge.py produce prompt.json --wait

The producer does ``RPUSH task_queue {"prompt_id": "<uuid>", "prompt": {...}}`` and nothing else; any other field of submit may stand
beside them. A consumer moves each message to a list of its own, submits it under the same ``prompt_id``, waits for the job's end, and
then, in one step: takes the message off its list, stores the end under ``task_done:<prompt_id>`` for a day and publishes it on the
channel ``task_done``. So each message has one end told, and a consumer may be killed at any moment: its messages are still on its
list, where it finds them when it is back, or another consumer after LEASE_S; and a ``prompt_id`` that is submitted twice is one job. What
Expeditor refuses goes to the list ``task_queue:dead`` with the reason; while it is full or away, messages wait in Redis.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import sys
import threading
import time
import uuid
from collections import Counter, deque
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import redis
import requests
from redis.backoff import NoBackoff
from redis.retry import Retry

QUEUE = "task_queue"
DONE = "task_done"
DEAD = f"{QUEUE}:dead"
CONSUMERS = f"{QUEUE}:consumers"  # name -> when it was last alive, by Redis' clock

LEASE_S = 15  # a consumer that was silent for so long is taken for dead
FORGET_S = 86_400  # the name of one that never came back
KEPT_S = 86_400  # an end, for who asks late
HOLD_S = 20  # one request that waits for a job's end
LONGEST_WAIT_S = 30.0
AGAIN_LATER = {429, 502, 503, 504}

# Off the list, told and stored: all or nothing. Who does not have the message any more (it was frozen, and its list was taken over)
# tells nothing, and an end that was told already is not told again.
SETTLE = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
if ARGV[4] ~= '' then redis.call('RPUSH', KEYS[3], ARGV[4]) end
if ARGV[2] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[2] then
  redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
  redis.call('PUBLISH', ARGV[5], ARGV[2])
end
return 1
"""


def connect(url: str) -> redis.Redis:
    """Without redis-py's own retries: a list move that is repeated after a lost answer would move two messages."""
    return redis.Redis.from_url(url, socket_timeout=10, socket_connect_timeout=5, retry=Retry(NoBackoff(), 0))


# -- the producer's side: all that an application needs ------------------------------------------------------------------


def produce(line: redis.Redis, prompt: dict[str, Any], prompt_id: str | None = None, **fields: Any) -> str:
    """Give a prompt away; its id. After a fault call it again with the same ``prompt_id``: it is one job however often it is pushed."""
    prompt_id = prompt_id or str(uuid.uuid4())
    line.rpush(QUEUE, json.dumps({"prompt_id": prompt_id, "prompt": prompt, **fields}))
    return prompt_id


def wait_for_end(line: redis.Redis, prompt_id: str, patience_s: float = 600.0) -> dict[str, Any]:
    """How it ended: ``{prompt_id, status, cause, error, outputs}``. ``TimeoutError`` after ``patience_s``; ask again as you like."""
    deadline = time.monotonic() + patience_s
    with line.pubsub() as heard:
        heard.subscribe(DONE)
        heard.get_message(timeout=10)  # subscribed: an end from here on is heard, an earlier one is stored
        while time.monotonic() < deadline:
            if stored := line.get(f"{DONE}:{prompt_id}"):
                return json.loads(stored)
            look_again = time.monotonic() + 5  # a connection that was lost and made again may have missed it
            while time.monotonic() < look_again:
                message = heard.get_message(timeout=1)
                if message and message["type"] == "message" and json.loads(message["data"])["prompt_id"] == prompt_id:
                    return json.loads(message["data"])
    raise TimeoutError(f"{prompt_id} has not ended within {patience_s:.0f} s")


# -- the consumer --------------------------------------------------------------------------------------------------------


class Refused(Exception):
    """This message will never be accepted. ``code`` and ``error`` as Expeditor gave them."""

    def __init__(self, code: str, error: Any) -> None:
        super().__init__(f"{code}: {error}")
        self.code, self.error = code, error


class Stopped(Exception):
    """The consumer ends; its messages stay on its list."""


class Expeditor:
    """One instance over HTTP. Asks until it is answered; when it is full or away, all threads wait together."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._opens_at, self._refusals = 0.0, 0
        self.stop = threading.Event()
        self.broken = ""  # why no message can be submitted at all

    def closed_s(self) -> float:
        """For how long it asked to be left alone."""
        return self._opens_at - time.monotonic()

    def run(self, prompt_id: str, body: bytes, known: bool) -> dict[str, Any]:
        """Submit and wait: the job, ended. ``known``: it may have been submitted before, so that a known id is no fault."""
        while True:
            answer = submitted = self._ask("POST", "/expeditor/submit", data=body)
            if answer.status_code not in (200, 201) and not (known and answer.status_code == 409):
                raise _refusal(answer)
            while (answer := self._ask("GET", f"/expeditor/jobs/{prompt_id}?wait_s={HOLD_S}")).status_code == 202:
                pass
            if answer.status_code == 200:
                job = answer.json()
                for output in job["outputs"]:
                    output["url"] = urljoin(self._url, output["url"])
                return job
            if answer.status_code != 404 or submitted.status_code == 409:
                raise _refusal(answer)
            self.stop.wait(1)  # accepted and gone: its store was set back. The message is still here: again.

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        while True:
            while (wait_s := self.closed_s()) > 0 and not self.stop.is_set():
                self.stop.wait(wait_s * random.uniform(1.0, 1.1))
            if self.stop.is_set():
                raise Stopped
            told_s = 0.0
            try:
                answer = requests.request(
                    method, self._url + path, headers=self._headers, timeout=(5, HOLD_S + 30), **options
                )
                if answer.status_code not in AGAIN_LATER:
                    self._refusals = 0
                    if method == "POST" and not _concerns_the_message(answer):
                        self.broken = f"{answer.status_code} {answer.reason} of {answer.url}"
                        self.stop.set()
                        raise Stopped
                    return answer
                told_s, why = float(answer.headers.get("Retry-After") or 1), f"{answer.status_code} {answer.reason}"
            except requests.RequestException as lost:
                why = f"no answer ({type(lost).__name__})"
            if self.closed_s() <= 0:  # the first of the threads to hear it; the others wait with it
                wait_s = max(told_s, min(2.0**self._refusals, LONGEST_WAIT_S))
                self._opens_at, self._refusals = time.monotonic() + wait_s, self._refusals + 1
                _say(f"{why}; again in {wait_s:.0f} s")


class Consumer:
    """Moves messages from the queue to its own list, has ``in_flight`` of them run at a time, tells their ends.

    ``name`` must be its own, and should be the same after a restart: then its messages are found at once.
    """

    def __init__(
        self, line: redis.Redis, server: Expeditor, name: str, in_flight: int, lease_s: float = LEASE_S
    ) -> None:
        self._line, self._server, self._name, self._lease_s = line, server, name, lease_s
        self._mine = _list_of(name)
        self._settle = line.register_script(SETTLE)
        self._slots = threading.Semaphore(in_flight)
        self._lock = threading.Lock()
        self._in_hand: Counter[bytes] = Counter()  # what threads work on
        self._found: deque[bytes] = deque()  # of an earlier life, or of a dead consumer
        self._look = True  # at the own list: messages may lie there that nobody works on
        self._renewed_at = -1e9

    def run(self) -> None:
        """Until ``server.stop`` is set. Redis may come and go."""
        while not self._server.stop.is_set():
            try:
                self._step()
            except (redis.ConnectionError, redis.TimeoutError) as lost:
                self._look = True  # a message may have been moved, and the answer lost
                _say(f"Redis: {lost}")
                self._server.stop.wait(1)
        with contextlib.suppress(redis.RedisError):  # a planned stop: whoever likes may have the messages now
            self._line.zadd(CONSUMERS, {self._name: 0})

    def _step(self) -> None:
        if time.monotonic() - self._renewed_at > self._lease_s / 3:
            self._live()
        if self._look:
            self._find_lost()
        if self._server.closed_s() > 0 and not self._found:  # leave new ones to others
            self._server.stop.wait(min(self._server.closed_s(), 1))
        elif self._slots.acquire(timeout=1):
            message = self._next()
            if message is None:
                self._slots.release()

    def _next(self) -> bytes | None:
        try:
            known = bool(self._found)
            message = self._found.popleft() if known else self._line.blmove(QUEUE, self._mine, 1, "LEFT", "RIGHT")
        except redis.RedisError:
            self._slots.release()
            raise
        if message is not None:
            with self._lock:
                self._in_hand[message] += 1
            threading.Thread(target=self._see_through, args=(message, known), daemon=True).start()
        return message

    def _live(self) -> None:
        """Say so, and take over from those who have not for too long."""
        now_s = self._line.time()[0]
        self._line.zadd(CONSUMERS, {self._name: now_s})
        self._renewed_at = time.monotonic()
        for name, seen_s in self._line.zrangebyscore(CONSUMERS, 0, now_s - self._lease_s, withscores=True):
            while message := self._line.lmove(_list_of(name.decode()), self._mine, "LEFT", "RIGHT"):
                self._found.append(message)
            if now_s - seen_s > FORGET_S:
                self._line.zrem(CONSUMERS, name)

    def _find_lost(self) -> None:
        with self._lock:
            lying = Counter(self._line.lrange(self._mine, 0, -1))
            self._found = deque((lying - self._in_hand).elements())
        self._look = False

    def _see_through(self, message: bytes, known: bool) -> None:
        prompt_id, dead = "", ""
        try:
            prompt_id = _id_in(message)
            job = self._server.run(prompt_id, message, known)
            end = {name: job[name] for name in ("status", "cause", "error", "outputs", "finished_at")}
            self._told(message, prompt_id, end, dead)
        except Refused as refused:
            end = {"status": "refused", "cause": refused.code, "error": refused.error, "outputs": []}
            dead = json.dumps({"reason": str(refused), "message": message.decode(errors="replace")})
            _say(f"{prompt_id or 'a message'} goes to {DEAD}: {refused}")
            self._told(message, prompt_id, end, dead)
        except Stopped:
            pass
        finally:
            with self._lock:
                self._in_hand[message] -= 1
            self._slots.release()

    def _told(self, message: bytes, prompt_id: str, end: dict[str, Any], dead: str) -> None:
        told = json.dumps({"prompt_id": prompt_id, **end}, sort_keys=True) if prompt_id else ""
        keys = [self._mine, f"{DONE}:{prompt_id}", DEAD]
        while True:  # however long Redis is away: once done, a repeat finds no message and does nothing
            try:
                self._settle(keys=keys, args=[message, told, KEPT_S, dead, DONE])
                return
            except (redis.ConnectionError, redis.TimeoutError):
                if self._server.stop.wait(1):
                    raise Stopped from None


def _list_of(name: str) -> str:
    return f"{QUEUE}:processing:{name}"


def _id_in(message: bytes) -> str:
    try:
        body = json.loads(message)
    except (ValueError, RecursionError) as fault:
        raise Refused("INVALID_JSON", str(fault)) from None
    prompt_id = body.get("prompt_id") if isinstance(body, dict) else None
    if (
        not isinstance(prompt_id, str) or not prompt_id
    ):  # without it, a message that is submitted twice would be two jobs
        raise Refused("INVALID_MESSAGE", 'a message is {"prompt_id": "<uuid>", "prompt": {...}}')
    return prompt_id


def _refusal(answer: requests.Response) -> Refused:
    try:
        error = answer.json()["error"]
        return Refused(error["code"], error)
    except (ValueError, KeyError, TypeError):
        return Refused(str(answer.status_code), answer.text[:1000])


def _concerns_the_message(answer: requests.Response) -> bool:
    """Else the token or the address is wrong, and no other message would fare better."""
    return answer.ok or (answer.status_code != 401 and _refusal(answer).code != str(answer.status_code))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """0: done, 1: it ended badly, 2: no message can be submitted (a wrong token or address)."""
    parser = argparse.ArgumentParser(description="A plain Redis door to Expeditor.")
    parser.add_argument("--redis", default=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
    commands = parser.add_subparsers(dest="command", required=True)
    consume = commands.add_parser("consume", help="submit what is pushed, and tell how it ended; until stopped")
    consume.add_argument("--url", default="http://127.0.0.1:8188", help="ComfyUI with Expeditor")
    consume.add_argument("--token", default=os.environ.get("EXPEDITOR_TOKEN"))
    consume.add_argument("--name", default=socket.gethostname(), help="its own, and the same after a restart")
    consume.add_argument("--in-flight", type=int, default=32, help="how many of its jobs may wait or run in Expeditor")
    consume.add_argument(
        "--lease", type=float, default=LEASE_S, help="seconds of silence after which it counts as dead"
    )
    push = commands.add_parser("produce", help="push one prompt (a workflow exported in API format) and print its id")
    push.add_argument("prompt", type=Path)
    push.add_argument("--wait", action="store_true", help="and print how it ended")
    options = parser.parse_args()
    line = connect(options.redis)
    if options.command == "produce":
        prompt_id = produce(line, json.loads(options.prompt.read_text("utf-8")))
        print(prompt_id, flush=True)
        if not options.wait:
            return 0
        end = wait_for_end(line, prompt_id)
        print(json.dumps(end))
        return int(end["status"] != "succeeded")
    server = Expeditor(options.url.rstrip("/"), options.token)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop.set())
    Consumer(line, server, options.name, options.in_flight, options.lease).run()
    if server.broken:
        _say(f"{server.broken}: is Expeditor there, and the token right? Nothing is lost.")
    return 2 if server.broken else 0


if __name__ == "__main__":
    sys.exit(main())
