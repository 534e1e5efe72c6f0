"""Running another program while telling how far it is, and turning its failure into one sentence.

Owns the log files of the set-up and the table of known failures. Does not know what is installed or why.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from .console import Progress, SetupError

POLL_S = 0.2
TAIL_LINES = 12

_NO_NETWORK = (
    "name resolution",
    "name or service not known",
    "nodename nor servname",
    "getaddrinfo failed",
    "network is unreachable",
    "failed to establish a new connection",
    "connection refused",
    "connecttimeout",
    "enotfound",
    "eai_again",
    "econnrefused",
    "could not resolve",
    "temporary failure resolving",
)
_DISK_FULL = ("no space left on device", "enospc", "not enough space", "disk quota exceeded")
_NO_BUILD = ("no matching distribution found", "could not find a version that satisfies")


def explain(output: str) -> str:
    """What a failed installer's output means, for the failures that people meet; empty when it is none of them."""
    text = output.lower()
    if any(sign in text for sign in _DISK_FULL):
        return "The disk is full. Free some space, or let EXPEDITOR_CACHE_DIR name a folder on another disk."
    if any(sign in text for sign in _NO_NETWORK):
        return "The package index could not be reached: check the network or the proxy settings, then run this again."
    if any(sign in text for sign in _NO_BUILD):
        return "The package index has no build for this Python or platform: try Python 3.10 to 3.13 (python3.12 dev.py ...)."
    return ""


def run_step(label: str, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
    """Run a command to its end, its output going to `log`, its last line shown as progress; SetupError if it fails."""
    progress = Progress(label)
    log.parent.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            close_fds=os.name != "posix",  # so that the lock of the set-up is inherited, see `cache.Cache.lock`
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as fault:
        raise SetupError(f"{label}: cannot run {command[0]}: {fault.strerror}") from fault
    assert child.stdout is not None
    with log.open("w", encoding="utf-8") as file, child.stdout as output:
        reader = threading.Thread(target=_copy, args=(output, file, lines), daemon=True)
        reader.start()
        code = _wait(child, progress, lines)
        reader.join()
    if code:
        said = "\n".join(lines)
        tail = "\n".join(f"    | {line}" for line in lines[-TAIL_LINES:])
        raise SetupError(f"{label} failed (exit {code}). {explain(said)}\n{tail}\n    The whole output: {log}")
    progress.done()


def _wait(child: subprocess.Popen[str], progress: Progress, lines: list[str]) -> int:
    try:
        while True:
            try:
                return child.wait(POLL_S)
            except subprocess.TimeoutExpired:
                progress.tell(_latest(lines))
    except BaseException:  # Ctrl-C: do not leave an installer at work behind our back
        child.terminate()
        child.wait()
        raise


def _latest(lines: list[str]) -> str:
    telling = (line.strip() for line in reversed(lines[-20:]) if not line.startswith("WARNING"))
    return next(telling, "at work")


def _copy(output: IO[str], file: IO[str], lines: list[str]) -> None:
    for line in output:
        file.write(line)
        file.flush()
        if line.strip():
            lines.append(line.rstrip())
