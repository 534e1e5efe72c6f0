"""Several programs in the foreground: their lines with a prefix, their signals, their deaths and their next lives.

Owns the processes and the rule when one is started again. Does not know what they are.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

POLL_S = 0.2
LAST_WORDS_S = 2.0
"""How long the output of a dead program may still be held open by its own children."""


@dataclass(frozen=True)
class Program:
    """What is run under which name; `answers` says whether it is up. `keeps` are descriptors that it inherits (POSIX)."""

    name: str
    command: Sequence[str]
    folder: Path
    answers: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    keeps: tuple[int, ...] = ()


@dataclass
class Patience:
    """When a program that died is started again: soon, later each time, and not at all after `deaths_max` deaths in `window_s`."""

    deaths_max: int = 5
    window_s: float = 300.0
    first_s: float = 1.0
    most_s: float = 30.0
    _deaths_s: list[float] = field(default_factory=list[float])

    def after_death(self, now_s: float) -> float | None:
        """How long to wait, or None to give up."""
        self._deaths_s = [at_s for at_s in self._deaths_s if now_s - at_s < self.window_s]
        self._deaths_s.append(now_s)
        if len(self._deaths_s) >= self.deaths_max:
            return None
        return min(self.first_s * 2 ** (len(self._deaths_s) - 1), self.most_s)


class Printer:
    """Lines of several programs on one terminal, never mixed within a line."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._lock = threading.Lock()

    def line(self, name: str, text: str) -> None:
        """One line of a program. A terminal that is gone keeps nobody from going on."""
        with self._lock, contextlib.suppress(OSError):
            sys.stdout.write(f"{name:<{self._width}} | {text.rstrip()}\n")
            sys.stdout.flush()


class Child:
    """One program through its lives. A program that dies before it ever answered is not started again: that is a mistake, no accident."""

    def __init__(self, program: Program, printer: Printer, patience: Patience) -> None:
        self.program = program
        self.code: int | None = None
        self.given_up = False
        self.proven = False
        self._printer, self._patience = printer, patience
        self._process: subprocess.Popen[str] | None = None
        self._stop = threading.Event()
        self._spawning = threading.Lock()
        self._thread = threading.Thread(target=self._live, name=program.name, daemon=True)

    def start(self) -> None:
        """Its first life begins."""
        self._thread.start()

    def answers(self) -> bool:
        """Whether it is up; from then on its deaths are accidents."""
        self.proven = self.proven or self.program.answers()
        return self.proven

    def alive(self) -> bool:
        """Whether it runs, or will be started again."""
        return self._thread.is_alive()

    def end_with(self, number: int) -> None:
        """Pass a signal on (again); no further life."""
        with self._spawning:
            self._stop.set()
            process = self._process
        if process is None or process.poll() is not None:
            return
        if os.name == "posix":
            process.send_signal(number)
        elif number == signal.SIGTERM:  # Ctrl-C reaches the whole console by itself
            process.terminate()

    def _live(self) -> None:
        try:
            self._lives()
        except OSError as fault:
            self._printer.line(self.program.name, f"cannot be run: {fault}")
            self.given_up = True

    def _lives(self) -> None:
        while (process := self._spawn()) is not None:
            self.code = self._attend(process)
            if self._stop.is_set():
                return
            pause_s = self._patience.after_death(time.monotonic()) if self.proven else None
            if pause_s is None:
                self._printer.line(self.program.name, f"ended (exit {self.code}) and is not started again")
                self.given_up = True
                return
            self._printer.line(self.program.name, f"ended (exit {self.code}); it is started again in {pause_s:.0f} s")
            self._stop.wait(pause_s)

    def _spawn(self) -> subprocess.Popen[str] | None:
        program = self.program
        with self._spawning:
            if self._stop.is_set():
                return None
            # In a session of its own, Ctrl-C reaches it once: through us.
            self._process = subprocess.Popen(
                list(program.command),
                cwd=program.folder,
                env={**os.environ, **program.env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=os.name == "posix",
                pass_fds=program.keeps if os.name == "posix" else (),
            )
            return self._process

    def _attend(self, process: subprocess.Popen[str]) -> int:
        copier = threading.Thread(target=self._copy, args=(process,), daemon=True)
        copier.start()
        code = process.wait()
        copier.join(LAST_WORDS_S)
        return code

    def _copy(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                self._printer.line(self.program.name, line)


class Family:
    """`first` (if any) is up before the others start, and ends after them. `run` is called once, on the main thread."""

    def __init__(self, first: Program | None, others: Sequence[Program], told: Callable[[], None]) -> None:
        printer = Printer(max(len(each.name) for each in (*others, *([first] if first else []))))
        self._first = Child(first, printer, Patience()) if first else None
        self._others = [Child(each, printer, Patience()) for each in others]
        self._told = told
        self._signals: list[int] = []

    def run(self) -> int:
        """Until a signal ends it, or a program has to be given up; the exit code of that program, else of the first of the others
        (128 + n when signal n ended it)."""
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            if number := getattr(signal, name, None):
                signal.signal(number, self._hear)
        groups = [[self._first]] if self._first else []
        for group in (*groups, self._others):
            for child in group:
                child.start()
            if not self._until(lambda group=group: not [child for child in group if not child.answers()]):
                break
        else:
            self._told()
            self._until(lambda: False)
        self._end(self._others)
        if self._first:
            self._signals = [signal.SIGTERM]
            self._end([self._first])
        return self._exit_code()

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    @property
    def _children(self) -> list[Child]:
        return [*([self._first] if self._first else []), *self._others]

    def _until(self, reached: Callable[[], bool]) -> bool:
        """False when a signal or a death that is final came first."""
        while not self._signals and not any(child.given_up for child in self._children):
            if reached():
                return True
            time.sleep(POLL_S)
        return False

    def _end(self, children: Sequence[Child]) -> None:
        """Every signal that was heard is passed on once; SIGTERM when there was none."""
        passed_on = 0
        self._signals = self._signals or [signal.SIGTERM]
        while passed_on < len(self._signals) or any(child.alive() for child in children):
            for number in self._signals[passed_on:]:
                passed_on += 1
                for child in children:
                    child.end_with(number)
            time.sleep(POLL_S / 4)

    def _exit_code(self) -> int:
        failed = [child for child in self._children if child.given_up]
        code = (failed or self._others)[0].code
        code = 0 if code is None else code
        if failed and code == 0:
            return 1
        return 128 - code if code < 0 else code
