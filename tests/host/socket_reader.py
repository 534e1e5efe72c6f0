"""A client of ComfyUI's socket that keeps every frame in a form that two servers can be compared by.

Owns reading and naming of frames. Sends nothing but the feature flags it was given.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import websocket

from tests.support.comfy_server import RealComfyUI

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Frame:
    """`kind` is the message's type, or `binary <number>`; binary frames have a digest as data."""

    kind: str
    data: Any

    @property
    def ends_prompt(self) -> bool:
        """ComfyUI's mark that a prompt of this client is over."""
        return self.kind == "executing" and self.data["node"] is None

    @property
    def idle(self) -> bool:
        """Nothing runs or waits on the server."""
        return self.kind == "status" and self.data["status"]["exec_info"]["queue_remaining"] == 0


class SocketReader:
    """One connection, as a context manager."""

    def __init__(self, server: RealComfyUI, client_id: str | None, flags: dict[str, Any] | None = None) -> None:
        query = f"?clientId={client_id}" if client_id else ""
        self._socket = websocket.create_connection(server.ws_url + query, timeout=TIMEOUT_S)
        if flags is not None:
            self._socket.send(json.dumps({"type": "feature_flags", "data": flags}))
        # The first frame says that the server knows this client; only then may a prompt be sent.
        self.first = self.read()

    def __enter__(self) -> SocketReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def read(self) -> Frame:
        """The next frame; websocket's timeout error when the server stays silent."""
        raw = self._socket.recv()
        if isinstance(raw, str):
            message = json.loads(raw)
            return Frame(message["type"], message["data"])
        return Frame(f"binary {struct.unpack('>I', raw[:4])[0]}", hashlib.sha256(raw[4:]).hexdigest())

    def until(self, last: Callable[[Frame], bool]) -> list[Frame]:
        """All frames up to and including the first one that `last` accepts."""
        frames = [self.read()]
        while not last(frames[-1]):
            frames.append(self.read())
        return frames
