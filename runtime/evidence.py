"""What a process that dies leaves for the next one: the node that ran, the last log lines, and where it crashed.

Owns which files these are, that they are read before they are written anew, and that nothing of it can keep the server from
starting. Does not own what is written to them (``dispatch.blackbox``, ``telemetry.tail``, Python's ``faulthandler``).
"""

from __future__ import annotations

import faulthandler
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..dispatch.blackbox import Blackbox
from ..jobs.transitions import LastSeen
from ..telemetry.tail import LogTail, read_tail

log = logging.getLogger("expeditor.runtime")

NODE_FILE = "last_node.json"
LOG_FILE = "last_lines.log"
CRASH_FILE = "last_crash.log"
CRASH_LINES = 40


class Evidence:
    """The files of one data folder; to be read and written by the process alone that holds its database."""

    def __init__(self, folder: Path) -> None:
        """Touches no file. ``blackbox`` is to be told of every node."""
        self._folder = folder
        self.blackbox = Blackbox(folder / NODE_FILE)
        self._open: list[Any] = []
        self._crash_heard = False

    def seen(self) -> Mapping[tuple[str, int], LastSeen]:
        """What the process before this one left, by job and attempt; at most one entry. Never raises."""
        last = self.blackbox.last()
        if last is None:
            return {}
        crash = read_tail(self._folder / CRASH_FILE, CRASH_LINES)
        tail = "\n".join(part for part in (read_tail(self._folder / LOG_FILE), crash) if part)
        return {(last.job_id, last.attempt): LastSeen(last.node_id, last.class_type, tail or None)}

    def record(self) -> None:
        """Begin anew, for the next process. Never raises: without evidence jobs run as well."""
        try:
            self.blackbox.open()
            tail = LogTail(self._folder / LOG_FILE)
            tail.attach()
            self._open.append(tail)
            crash = (self._folder / CRASH_FILE).open("wb")
            self._open.append(crash)
            if not faulthandler.is_enabled():
                faulthandler.enable(crash)
                self._crash_heard = True
        except (OSError, ValueError) as error:
            log.warning(
                "What a crash would leave behind cannot be recorded: %s", error, extra={"event": "evidence.failed"}
            )

    def stop(self) -> None:
        """Record no more; the files stay."""
        self.blackbox.close()
        if self._crash_heard:
            faulthandler.disable()
            self._crash_heard = False
        while self._open:
            self._open.pop().close()
