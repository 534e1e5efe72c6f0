"""Reads a stream of events (SSE) of a running server in the background, with the reader that the docs show."""

from __future__ import annotations

import json
import threading
import urllib.request
from typing import Any

from tests.support.comfy_server import RealComfyUI
from tests.support.examples import example_module

frames = example_module("follow_job").frames


class Reader(threading.Thread):
    """Reads a stream in the background until it ends, is lost, or `last` was told."""

    def __init__(self, server: RealComfyUI, path: str, last: str | None = None, after: str | None = None) -> None:
        super().__init__(daemon=True)
        headers = {} if after is None else {"Last-Event-ID": after}
        self._answer = urllib.request.urlopen(urllib.request.Request(server.url + path, headers=headers), timeout=60)
        self._last = last
        self.headers = self._answer.headers
        self.told: list[dict[str, Any]] = []
        self.cursor = after
        self.start()

    def run(self) -> None:
        try:
            for fields in frames(self._answer):
                self.cursor = fields.get("id", self.cursor)
                if "data" in fields:
                    self.told.append(json.loads(fields["data"]))
                    if self._last == fields["event"]:
                        break
        except OSError:
            pass  # the server died, as the test wants
        self._answer.close()

    def types(self) -> list[str]:
        return [event["type"] for event in self.told]

    def all(self, deadline_s: float = 60.0) -> list[dict[str, Any]]:
        self.join(deadline_s)
        assert not self.is_alive(), f"the stream did not end; it told {self.types()}"
        return self.told
