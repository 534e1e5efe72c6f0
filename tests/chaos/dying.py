"""How the processes of the chaos tests are killed, and what they had said until then. Owns no expectation."""

from __future__ import annotations

import random
import signal
import subprocess
from contextlib import suppress


def die_early(child: subprocess.Popen[str], rng: random.Random, within_s: float) -> list[str]:
    """Kill it at a moment of its first `within_s` seconds: all that it said."""
    try:
        child.wait(timeout=rng.uniform(0.0, within_s))
    except subprocess.TimeoutExpired:
        child.kill()
    return last_words(child)


def die_at_work(
    child: subprocess.Popen[str], rng: random.Random, within_lines: int, within_s: float = 0.0
) -> list[str]:
    """Kill it after at most `within_lines` lines, however long these take, and at most `within_s` more: all that it said, in whole
    lines. Without the latter it dies where it has just said something."""
    assert child.stdout is not None
    heard = [child.stdout.readline() for _ in range(rng.randint(1, within_lines))]
    with suppress(subprocess.TimeoutExpired):
        child.wait(timeout=rng.uniform(0.0, within_s))
    child.kill()
    return [line for line in heard if line.endswith("\n")] + last_words(child)


def last_words(child: subprocess.Popen[str]) -> list[str]:
    """What is left to read of a process that must have died of SIGKILL and of nothing else."""
    assert child.stdout is not None
    assert child.stderr is not None
    said = child.stdout.read().splitlines()
    assert child.wait(30) == -signal.SIGKILL, child.stderr.read()
    return said
