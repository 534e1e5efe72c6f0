"""The last log lines of the whole process, in a file that outlives it: what was said before it died.

Owns a bounded file that is appended to by one write per record, and read by the next process. Nothing is flushed to disk:
it survives the process, not the machine. Not owned: who is shown it.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from pathlib import Path

from .logs import LOGGER

TAIL_LINES = 50
TAIL_BYTES = 16_384
LONGEST_RECORD = 2_000
_REWRITE_BYTES = 4 * TAIL_BYTES


class LogTail(logging.Handler):
    """Writes what any logger says to ``path``; the file holds a little more than ``read_tail`` gives."""

    def __init__(self, path: Path) -> None:
        """Begin an empty file. Raises ``OSError``."""
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._file = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o600)
        self._recent: deque[bytes] = deque(maxlen=TAIL_LINES)
        self._size_bytes = 0

    def attach(self) -> None:
        """Hear all loggers: the root's, and ours, which may keep its records from it."""
        logging.root.addHandler(self)
        ours = logging.getLogger(LOGGER)
        if not ours.propagate:
            ours.addHandler(self)

    def close(self) -> None:
        """Hear no more; the file stays."""
        for logger in (logging.root, logging.getLogger(LOGGER)):
            logger.removeHandler(self)
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Append the record; a disk that is full loses the line and nothing else."""
        try:
            line = self.format(record)[-LONGEST_RECORD:].encode("utf-8", "backslashreplace") + b"\n"
            self._recent.append(line)
            if self._size_bytes + len(line) > _REWRITE_BYTES:
                os.ftruncate(self._file, 0)
                line, self._size_bytes = b"".join(self._recent), 0
            self._size_bytes += os.write(self._file, line)
        except Exception:  # noqa: BLE001 - logging calls this in the middle of everybody's work
            self._size_bytes = 0


def read_tail(path: Path, lines: int = TAIL_LINES, size_bytes: int = TAIL_BYTES) -> str:
    """The last ``lines`` whole lines of a file, at most ``size_bytes`` of them; empty if there is none."""
    try:
        with path.open("rb") as file:
            start = max(file.seek(0, os.SEEK_END) - size_bytes, 0)
            file.seek(start)
            data = file.read()
    except OSError:
        return ""
    if start:
        data = data.partition(b"\n")[2]
    return "\n".join(data.decode("utf-8", "replace").splitlines()[-lines:])
