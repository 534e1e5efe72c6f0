"""Two progress bars on standard error, one for what was submitted and one for what has ended. On a pipe: a line now and then."""

from __future__ import annotations

from threading import Lock

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..records import Job
from ..show import plain
from .items import Item

LINES = 10
"""On a pipe: about so many lines for a whole batch."""


class Bars:
    """A ``Board`` for people; a context manager. ``submitted`` and ``ended``: what was done before this run."""

    def __init__(self, console: Console, total: int, submitted: int, ended: int, *, wait: bool) -> None:
        self._console, self._total = console, total
        self._lock = Lock()
        self._ended, self._failed = ended, 0
        self._progress = Progress(
            TextColumn("{task.description}", justify="left"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._in = self._progress.add_task("submitted", total=total, completed=submitted, note="")
        self._out = self._progress.add_task("ended", total=total, completed=ended, note="", visible=wait)

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def submitted(self) -> None:
        """See ``Board``."""
        self._progress.advance(self._in)

    def settled(self, item: Item, status: str, error: str | None) -> None:
        """See ``Board``: a line for each that did not succeed."""
        with self._lock:
            self._ended += 1
            bad = status != "succeeded" or error is not None
            self._failed += bad
            ended, failed = self._ended, self._failed
        self._progress.advance(self._out)
        if bad:
            self._progress.console.print(
                f"item {item.number} {escape(plain(status))}: {escape(plain(error or ''))}", soft_wrap=True
            )
        elif not self._console.is_terminal and ended % max(1, self._total // LINES) == 0:
            self._console.print(f"{ended} of {self._total} ended, {failed} of them badly")

    def running(self, jobs: tuple[tuple[Item, Job], ...]) -> None:
        """See ``Board``: how far what runs has come."""
        said = ", ".join(_said(item, job) for item, job in jobs[:2])
        self._progress.update(self._out, note=escape(plain(said)))


def _said(item: Item, job: Job) -> str:
    share = "" if job.progress is None else f" {job.progress:.0%}"
    return f"item {item.number}{share} {job.node or ''}".strip()
