"""``store.relay.Relay`` on pub/sub of a shared Redis: one thread that sends, one that listens.

Owns the two threads, what waits to be sent, and the form of a word. What is not sent at once is dropped, oldest first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from redis.exceptions import RedisError

from ..relay import WORD_MAX_BYTES, Heard
from .connections import Connections, backoff
from .outage import reason

log = logging.getLogger("expeditor.store")

WAITING_MAX_WORDS = 2_000
WAITING_MAX_BYTES = 32 * 1024 * 1024
TOGETHER_MAX = 64
"""So many words go in one round trip."""
SILENT_S = 5.0
"""After so long without a word the connection is asked whether it is still there; after as long again it is made anew."""
LOOK_S = 0.2
"""How often both threads look whether they are to end."""


class BullmqRelay:
    """See the module's docstring. Nothing is sent or heard before ``start`` and after ``close``."""

    def __init__(self, connections: Connections, namespace: str, name: str, look_s: float = LOOK_S) -> None:
        """``name``: this instance's; ``look_s``: for so long ``close`` may wait. Connects nothing yet."""
        self._look_s = look_s
        self._connections = connections
        self._name = name
        # Channels know no databases: without its number, two queues of one name in two databases would hear each other.
        self._channel = f"{{{namespace}}}:{connections.address.database}:relay:"
        self._heard: Mapping[str, tuple[Heard, ...]] = {}
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._waiting_bytes = 0
        self._dropped = 0
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._threads: tuple[threading.Thread, ...] = ()
        self._listening = threading.Event()

    @property
    def listening(self) -> bool:
        """Whether words reach this instance now."""
        return self._listening.is_set()

    @property
    def dropped(self) -> int:
        """How many words were never sent."""
        return self._dropped

    def send(self, to: str | None, kind: str, body: bytes = b"") -> None:
        """See the contract."""
        if len(body) > WORD_MAX_BYTES or not self._threads:
            self._dropped += 1
            return
        word = _word(self._name, kind, body)
        with self._changed:
            self._waiting.append((self._channel + (f"to:{to}" if to is not None else "all"), word))
            self._waiting_bytes += len(word)
            while len(self._waiting) > WAITING_MAX_WORDS or self._waiting_bytes > WAITING_MAX_BYTES:
                self._waiting_bytes -= len(self._waiting.popleft()[1])
                self._dropped += 1
            self._changed.notify()

    def listen(self, kind: str, heard: Heard) -> None:
        """See the contract."""
        with self._changed:
            self._heard = {**self._heard, kind: (*self._heard.get(kind, ()), heard)}

    def start(self) -> None:
        """Send and listen from now on, whenever the shared store is there; idempotent."""
        if self._threads:
            return
        self._stop.clear()
        self._threads = (
            threading.Thread(target=self._send_all, name="expeditor-relay-send", daemon=True),
            threading.Thread(target=self._listen_on, name="expeditor-relay-listen", daemon=True),
        )
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End both threads; blocks for a moment; idempotent."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        threads, self._threads = self._threads, ()
        for thread in threads:
            thread.join()

    def _send_all(self) -> None:
        client: Any = self._connections.prompt("relay-send")
        pauses = backoff()
        while not self._stop.is_set():
            words = self._next()
            try:
                if words:
                    _publish(client, words)
                    pauses = backoff()
            except (RedisError, OSError):
                # Nobody wants to hear later what was so now.
                with self._changed:
                    self._dropped += len(words) + len(self._waiting)
                    self._waiting.clear()
                    self._waiting_bytes = 0
                self._stop.wait(next(pauses))
        self._connections.drop(client)

    def _next(self) -> list[tuple[str, bytes]]:
        with self._changed:
            if not self._waiting and not self._stop.is_set():
                self._changed.wait(self._look_s)
            words = [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER_MAX))]
            self._waiting_bytes -= sum(len(word) for _, word in words)
            return words

    def _listen_on(self) -> None:
        client: Any = self._connections.patient("relay-listen")
        pauses, told = backoff(), False
        while not self._stop.is_set():
            try:
                with client.pubsub(ignore_subscribe_messages=False) as ear:
                    ear.subscribe(f"{self._channel}all", f"{self._channel}to:{self._name}")
                    for _ in self._words(ear):
                        pauses, told = backoff(), False
            except (RedisError, OSError) as error:
                if not told:
                    why = reason(error, self._connections.address)
                    log.warning("What other instances say is not heard: %s", why, extra={"event": "relay.deaf"})
                told = True
                self._stop.wait(next(pauses))
            finally:
                self._listening.clear()
        self._connections.drop(client)

    def _words(self, ear: Any) -> Any:
        """Give out what is heard until this relay is closed; raises when the connection is gone."""
        heard_at_s, asked_at_s = time.monotonic(), 0.0
        while not self._stop.is_set():
            message = ear.get_message(timeout=self._look_s)
            now_s = time.monotonic()
            if message is not None:
                heard_at_s = now_s
                self._take(message)
                yield
            elif now_s - max(heard_at_s, asked_at_s) > SILENT_S:
                if asked_at_s > heard_at_s:
                    raise ConnectionError("no answer to a ping")
                ear.ping()
                asked_at_s = now_s

    def _take(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "subscribe":
            self._listening.set()
        if message["type"] != "message":
            return
        parts = _parts(message["data"])
        if parts is None:
            return  # said by somebody who is no member
        sender, kind, body = parts
        if sender == self._name and message["channel"].endswith(b"relay:all"):
            return
        for heard in self._heard.get(kind, ()):
            try:
                heard(sender, kind, body)
            except Exception:  # noqa: BLE001 - one listener's fault must not make the others deaf
                log.exception("A word of another instance could not be taken", extra={"event": "relay.fault"})


def _publish(client: Any, words: list[tuple[str, bytes]]) -> None:
    with client.pipeline(transaction=False) as pipe:
        for channel, word in words:
            pipe.publish(channel, word)
        pipe.execute()


def _word(sender: str, kind: str, body: bytes) -> bytes:
    return b"\n".join((sender.encode(), kind.encode(), body))


def _parts(word: bytes) -> tuple[str, str, bytes] | None:
    try:
        sender, kind, body = word.split(b"\n", 2)
        return sender.decode(), kind.decode(), body
    except ValueError:
        return None
