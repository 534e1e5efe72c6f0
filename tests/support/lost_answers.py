"""A TCP proxy in front of a real server, whose wire is cut on command: after a request went through and before its answer comes back.

Owns the relaying threads. Does not know what is said, but for the word that it waits for.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType

HOST = "127.0.0.1"
CHUNK_BYTES = 65_536


class LosingWire:
    """A context manager; ``port`` is where it listens."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listening = socket.create_server((HOST, 0))
        self.port: int = self._listening.getsockname()[1]
        self._lock = threading.Lock()
        self._word: bytes | None = None
        self._sockets: list[socket.socket] = []
        self._down = False
        self._down_after = False
        self.cuts = 0
        self._flows = threading.Event()
        self._flows.set()
        self._holds_after = False
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> LosingWire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flows.set()
        self._end(self._listening)
        for one in self._sockets:
            self._end(one)

    def cut_answer_of(self, word: bytes, *, stay_down: bool = False) -> None:
        """The next request with this word goes through, and its answer is lost with its connection. ``stay_down``: nobody is let through
        after that until ``mend``."""
        with self._lock:
            self._word, self._down_after = word, stay_down

    def hold_answer_of(self, word: bytes) -> None:
        """The next request with this word goes through, and nobody gets any answer from then on until ``mend``; no connection breaks."""
        with self._lock:
            self._word, self._holds_after = word, True

    def mend(self) -> None:
        """Let everybody through again."""
        self._down = False
        self._flows.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                if self._down:
                    self._end(client)
                    continue
                server = socket.create_connection((HOST, self._target_port))
                self._sockets += [client, server]
                threading.Thread(target=self._relay, args=(client, server), daemon=True).start()

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        lost = threading.Event()
        threading.Thread(target=self._answer, args=(server, client, lost), daemon=True).start()
        with suppress(OSError):
            while data := client.recv(CHUNK_BYTES):
                with self._lock:
                    if self._word is not None and self._word in data:
                        self._word = None
                        (self._flows.clear if self._holds_after else lost.set)()
                server.sendall(data)
        self._end(server)

    def _answer(self, server: socket.socket, client: socket.socket, lost: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(CHUNK_BYTES):
                if lost.is_set():  # it came through: the server has answered
                    self._down = self._down or self._down_after
                    self.cuts += 1
                    break
                self._flows.wait()
                client.sendall(data)
        self._end(client)

    @staticmethod
    def _end(one: socket.socket) -> None:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
