"""What runs now, in a small file that outlives the process: the last node of a run that killed it.

Owns the file and its one record, rewritten in place as each node begins and never flushed to disk: it is there for whoever
looks after the process died, not after the machine did. Does not own what is made of it (``jobs.transitions.recover``).
"""

from __future__ import annotations

import json
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

log = logging.getLogger("expeditor.dispatch")

RECORD_BYTES = 1024
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class LastNode:
    """The last node that began in a process; no node if the attempt had just begun."""

    job_id: str
    attempt: int
    node_id: str | None
    class_type: str | None


class Blackbox:
    """A ``RunRecorder``; until ``open`` it records nothing."""

    def __init__(self, path: Path) -> None:
        """``path``: the file; its folder must be there by ``open``."""
        self._path = path
        self._lock = threading.Lock()
        self._file: int | None = None

    def last(self) -> LastNode | None:
        """What the process before this one left; None if there is nothing that can be read."""
        try:
            fields: Any = json.loads(self._path.read_bytes())
            job_id, attempt, node_id, class_type = cast("list[Any]", fields)
            return LastNode(str(job_id), int(attempt), node_id, class_type)
        except (OSError, ValueError, TypeError):
            return None

    def open(self) -> None:
        """Record from now on; what was there is overwritten at the first node. Raises ``OSError``."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        self._file = os.open(self._path, flags, 0o600)

    def close(self) -> None:
        """Record no more; the file stays."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def began(self, job_id: str, attempt: int, node_id: str | None, class_type: str | None) -> None:
        """See ``RunRecorder``."""
        if self._file is None:
            return
        names = [None if name is None else name[:_LONGEST] for name in (node_id, class_type)]
        record = json.dumps([job_id, attempt, *names]).encode()
        if len(record) >= RECORD_BYTES:  # escaped names can be six times as long
            record = json.dumps([job_id, attempt, None, None]).encode()
        try:
            self._write(record.ljust(RECORD_BYTES))
        except OSError as error:
            self._file = None
            log.warning("What runs is recorded no longer: %s", error, extra={"event": "blackbox.failed"})

    def _write(self, record: bytes) -> None:
        with self._lock:
            if self._file is not None:
                # One write from the start: whoever kills the process finds the old record or the new one.
                os.lseek(self._file, 0, os.SEEK_SET)
                os.write(self._file, record)
