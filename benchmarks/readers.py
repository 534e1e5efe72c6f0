"""Readers of event streams for `streams.py`: many sockets in one event loop, each frame noted with the moment it came.

Owns reading; does not know what is measured.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from datetime import datetime

DATA = re.compile(rb"^data: (\{.*\})", re.MULTILINE)


@dataclass
class Reader:
    """One open stream. `delays_s`: from the commit that an event tells of (to the millisecond) to its arrival here."""

    path: str
    delays_s: list[float] = field(default_factory=list[float])
    cursors: list[str] = field(default_factory=list[str])
    lost: str | None = None
    task: asyncio.Task[None] | None = None

    async def open(self, host: str, port: int) -> None:
        """Connect, ask, and read on in the background; returns once the headers have come."""
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(f"GET {self.path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(head.decode(errors="replace"))
        self.task = asyncio.create_task(self._read(reader, writer))

    async def close(self) -> None:
        """Let go of it."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                frame = await reader.readuntil(b"\n\n")
                now_s = time.time()
                found = DATA.search(frame)
                if found is not None:
                    event = json.loads(found.group(1))
                    if (
                        "cursor" not in event
                    ):  # a notice: what is older than the job's newest thousand events is forgotten
                        continue
                    self.delays_s.append(now_s - datetime.fromisoformat(event["at"].replace("Z", "+00:00")).timestamp())
                    self.cursors.append(event["cursor"])
        except (OSError, asyncio.IncompleteReadError) as fault:
            self.lost = str(fault) or type(fault).__name__
        finally:
            writer.close()


async def opened(paths: list[str], host: str, port: int) -> list[Reader]:
    """All of them open, a few at a time."""
    readers, room = [Reader(path) for path in paths], asyncio.Semaphore(50)

    async def one(reader: Reader) -> None:
        async with room:
            await reader.open(host, port)

    await asyncio.gather(*map(one, readers))
    return readers
