"""Planned stops: SIGTERM, Ctrl-C and Ctrl-Break mark what runs as stopped on purpose, then act as they always did.

Owns what happens to the queue before this process ends on purpose, the signal handlers, and how long they hold a stop up. A
handler runs in the middle of whatever the main thread does, so it only wakes a thread that waits for this; that thread marks
the runs and sends the signal again, which then goes to whoever had it before. A second signal in between goes through at
once. Does not own what the mark means (``jobs.transitions``).

While a node holds Python's lock no handler runs, ours or anybody's: such a process ends by SIGKILL, which is no planned stop.
"""

from __future__ import annotations

import logging
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn, Protocol

from ..host.live import LiveQueue
from ..store.base import JobStore

log = logging.getLogger("expeditor.runtime")

MARK_WITHIN_S = 2.0
"""How long a stop waits for the mark to be stored."""
_LOOK_S = 0.05
STILL_HERE_S = 15.0
"""A process that is here so long after its stop was not stopped by it."""


class Member(Protocol):
    """A member of those that share a queue; ``membership`` fits. Both from any thread, never raising."""

    def leave(self) -> None:
        """It ends; waits a moment."""
        ...

    def stay(self) -> None:
        """It does not end after all."""
        ...


class Leaving:
    """What is done to queue and store when this process is about to end; fits ``dispatch.watchdog.Exit``."""

    def __init__(self, live: LiveQueue, store: JobStore, exit_: Callable[[int], NoReturn]) -> None:
        """``live`` is ComfyUI's queue; ``exit_`` ends the process at once: ``os._exit``."""
        self._live = live
        self._store = store
        self._exit = exit_
        self._closed = False
        self.member: Member | None = None
        """This instance as one of several; given later."""

    def close(self) -> None:
        """Let no more jobs be claimed: one that began now would count as killed."""
        self._closed = self._live.close_claims() or self._closed

    def mark(self) -> None:
        """Close, and mark what runs as stopped on purpose; waits for the commit. Raises what the store raises."""
        if self._store.state().open:
            self.close()
            self._store.stopping().result(MARK_WITHIN_S)
            if self.member is not None:
                self.member.leave()

    def stay(self) -> None:
        """The process lives on after all: let jobs be claimed again."""
        if self._closed:
            self._closed = False
            log.warning(
                "The server was asked to stop and goes on; jobs are claimed again", extra={"event": "stop.ignored"}
            )
            self._live.open_claims()
            if self.member is not None:
                self.member.stay()

    def end(self, code: int) -> NoReturn:
        """End the process with ``code``; what runs besides is marked, if the store answers in time."""
        with suppress(Exception):
            self.mark()
        for handler in logging.getLogger("expeditor").handlers:
            with suppress(Exception):
                handler.flush()  # the line that says why
        self._exit(code)


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals by which people and supervisors ask this system's processes to stop."""
    names = ("SIGTERM", "SIGINT", "SIGBREAK")
    return tuple(signal.Signals[name] for name in names if name in signal.Signals.__members__)


class PlannedStop:
    """One process's handlers. ``mark`` stores the mark and ``spared`` takes it that the process did not end after all."""

    def __init__(
        self,
        mark: Callable[[], None],
        spared: Callable[[], None],
        signals: Iterable[signal.Signals] | None = None,
        still_here_s: float = STILL_HERE_S,
    ) -> None:
        """Nothing is installed yet. ``mark`` may raise and may hang: neither keeps the process from stopping."""
        self._mark = mark
        self._spared = spared
        self._signals = stop_signals() if signals is None else tuple(signals)
        self._still_here_s = still_here_s
        self._before: dict[int, Any] = {}
        self._heard: queue.SimpleQueue[int] = queue.SimpleQueue()  # of the few things that a handler may touch
        self._asked = False
        self._passed = False

    def install(self) -> str | None:
        """Take the signals over; None, or why that is not possible. Main thread only (``ValueError``)."""
        free = [each for each in self._signals if signal.getsignal(each) not in (None, signal.SIG_IGN)]
        if not free:
            return "the signals that stop this process are ignored, or belong to a library that cannot be asked"
        threading.Thread(target=self._serve, name="expeditor-stop", daemon=True).start()
        for each in free:
            self._before[each] = signal.signal(each, self._on_signal)
        return None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._asked:  # ours, now that the runs are marked; or a person's second one, who will not wait
            self._pass_on(number, frame)
            return
        self._asked = True
        self._heard.put(number)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._passed = True
        before = self._before[number]
        if callable(before):
            before(number, frame)
        else:
            signal.signal(number, before)
            signal.raise_signal(number)

    def _serve(self) -> None:
        while True:
            number = self._heard.get()
            marking = threading.Thread(target=self._try_to_mark, name="expeditor-stop-mark", daemon=True)
            marking.start()
            marking.join(MARK_WITHIN_S)
            if not self._passed:
                send_to_main_thread(number)
            time.sleep(self._still_here_s)
            while not self._passed:  # the main thread is held up; what comes now is still the same stop
                time.sleep(_LOOK_S)
            self._asked = self._passed = False
            self._spared()

    def _try_to_mark(self) -> None:
        try:
            self._mark()
        except Exception as error:  # noqa: BLE001 - the stop goes on; what is not marked counts as a death
            log.warning(
                "The runs could not be marked as stopped on purpose: %s", error, extra={"event": "stop.unmarked"}
            )


def send_to_main_thread(number: int) -> None:
    """Raise a signal so that the main thread wakes up for it, wherever it waits."""
    main = threading.main_thread().ident
    if sys.platform == "win32" or main is None:
        signal.raise_signal(signal.Signals(number))
    else:
        signal.pthread_kill(main, number)
