"""A wire that a test can cut: a TCP proxy that stops forwarding without a word, as a network does, and goes on when it is mended.

Connections made while it is cut are accepted and hear nothing, as behind a firewall that swallows packets.
"""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from types import TracebackType

_LOOK_S = 0.05
_BYTES = 65_536


class CutWire:
    """A proxy on a port of its own to ``host:port``, as a context manager."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        """Not listening before it is entered."""
        self._target = (host, port)
        self._whole = threading.Event()
        self._whole.set()
        self._deaf = threading.Event()
        self._deafening: bytes | None = None
        self._closing = threading.Event()
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> CutWire:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def cut(self) -> None:
        """Nothing passes any more; what is under way is kept and passes once it is mended."""
        self._whole.clear()

    def cut_answers(self) -> None:
        """What clients say arrives, and nothing comes back."""
        self._deaf.set()

    def cut_answers_to(self, words: bytes) -> None:
        """As ``cut_answers``, from the next time on that a client says these words."""
        self._deafening = words

    def mend(self) -> None:
        """Everything passes again."""
        self._deaf.clear()
        self._whole.set()

    def _start(self, target: object, *given: object) -> None:
        thread = threading.Thread(target=target, args=given, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        self._listener.settimeout(_LOOK_S)
        while not self._closing.is_set():
            with suppress(TimeoutError):
                client, _ = self._listener.accept()
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client:
            while not self._whole.wait(_LOOK_S):
                if self._closing.is_set():
                    return
            with suppress(OSError), socket.create_connection(self._target) as server:
                self._forward(client, server)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        while not self._closing.is_set():
            if not self._whole.wait(_LOOK_S):
                continue
            wanted = [client] if self._deaf.is_set() else [client, server]
            for one in select.select(wanted, [], [], _LOOK_S)[0]:
                if not self._whole.is_set() or (one is server and self._deaf.is_set()):
                    break  # cut while it was waited for
                if not (data := one.recv(_BYTES)):
                    return
                if one is client and self._deafening is not None and self._deafening in data:
                    self._deafening = None
                    self._deaf.set()
                (server if one is client else client).sendall(data)
