"""What the person at the terminal reads: steps, their progress, and failures in one sentence.

Owns the terminal. Does not decide anything: others raise `SetupError`, `commands` shows it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

# A pipe or a CI log gets a line now and then; a terminal gets one line that is rewritten.
QUIET_PERIOD_S = 15.0
TERMINAL_WIDTH = 110


class SetupError(Exception):
    """Something is missing or went wrong outside this tool; the text says what, and what to do about it."""


def say(text: str = "") -> None:
    """One line, at once (a server's output may follow on the same descriptor)."""
    print(text, flush=True)


class Progress:
    """One long step: `tell` as often as you like, `done` once."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._started_s = time.monotonic()
        self._told_s = self._started_s
        self._live = sys.stdout.isatty()
        say(f"... {label}")

    @property
    def elapsed_s(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self._started_s

    def tell(self, detail: str) -> None:
        """Show how far it is, no more often than the reader can follow."""
        now_s = time.monotonic()
        if now_s - self._told_s < (0.5 if self._live else QUIET_PERIOD_S):
            return
        self._told_s = now_s
        line = f"    {self._label}: {self.elapsed_s:.0f} s, {detail}"[:TERMINAL_WIDTH]
        if self._live:
            sys.stdout.write("\r" + line.ljust(TERMINAL_WIDTH))
            sys.stdout.flush()
        else:
            say(line)

    def done(self, note: str = "") -> None:
        """The step is over."""
        if self._live:
            sys.stdout.write("\r" + " " * TERMINAL_WIDTH + "\r")
        say(f"    {self._label}: done in {self.elapsed_s:.1f} s{', ' + note if note else ''}")


@contextmanager
def step(label: str) -> Generator[Progress]:
    """A long step as a with block; a failure inside leaves without the closing line."""
    progress = Progress(label)
    yield progress
    progress.done()
