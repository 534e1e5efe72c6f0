"""A log handler that never makes its caller wait: lines are formatted by the caller and written by a thread of its own.

Owns the line's way to the handler that writes it (the target), and the count of those that found no room. Why: lines are
logged on the thread that commits jobs; a console that nobody reads (a full pipe, a frozen terminal) must not stop it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque

CAPACITY = 10_000
"""How many lines may wait to be written."""
FLUSH_S = 2.0
"""How long the end of the process waits for lines that are not written yet."""


class BackgroundHandler(logging.Handler):
    """Hands formatted lines to ``target``; a line that finds ``capacity`` others waiting is dropped and counted.

    ``flush`` and ``close`` wait at most ``FLUSH_S`` for what is on its way; ``logging`` calls both when the process ends by
    itself. What still waits when it is killed is lost. Once there is room again, one line says how many were dropped.
    """

    def __init__(self, target: logging.Handler, capacity: int = CAPACITY) -> None:
        """Starts the thread. The target writes lines as they are; its own formatter is replaced."""
        super().__init__()
        target.setFormatter(logging.Formatter("%(message)s"))
        self.target = target
        self.dropped = 0
        self._capacity = capacity
        self._lines: deque[logging.LogRecord] = deque()
        self._changed = threading.Condition()
        self._untold = 0
        self._writing = False
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="expeditor-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Format and hand over; never waits."""
        try:
            line = self._formatted(record)
        except Exception:  # noqa: BLE001 - as every handler of logging: a record that cannot be formatted hurts nobody
            self.handleError(record)
            return
        with self._changed:
            if self._closing:
                return
            if len(self._lines) < self._capacity:
                self._lines.append(line)
                self._changed.notify_all()
            else:
                self.dropped += 1
                self._untold += 1

    def flush(self) -> None:
        """Wait until all lines so far are written, at most ``FLUSH_S``."""
        with self._changed:
            self._changed.wait_for(lambda: not self._lines and not self._writing, FLUSH_S)

    def close(self) -> None:
        """Write what waits, then let go of the target; a target that blocks is left behind after ``FLUSH_S``."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(FLUSH_S)
        if not self._thread.is_alive():
            self.target.close()
        super().close()

    def _serve(self) -> None:
        while lines := self._next():
            for line in lines:
                self.target.handle(line)

    def _next(self) -> list[logging.LogRecord]:
        """All lines that wait, waited for; empty at the end."""
        with self._changed:
            self._writing = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._lines or self._closing)
            lines = list(self._lines)
            self._lines.clear()
            self._writing = bool(lines)
            untold, self._untold = self._untold, 0
        if untold:
            lines.append(self._loss(untold))
        return lines

    def _loss(self, lines: int) -> logging.LogRecord:
        text = "%d log lines were dropped: nobody took them from %s"
        record = logging.LogRecord(
            "expeditor.telemetry", logging.WARNING, __file__, 0, text, (lines, self.name or "the log"), None
        )
        vars(record)["event"] = "log.dropped"
        return self._formatted(record)

    def _formatted(self, record: logging.LogRecord) -> logging.LogRecord:
        line = logging.LogRecord(record.name, record.levelno, record.pathname, record.lineno, "", None, None)
        line.msg = self.format(record)
        return line
