"""The lock between processes: a second holder is refused with the first one's pid; death lets go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from expeditor.jobs.errors import StoreUnavailable
from expeditor.store.lockfile import LockFile

HOLDER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import child_imports
from expeditor.store.lockfile import LockFile
lock = LockFile(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_holder_hears_who_has_it(tmp_path):
    lock = LockFile(tmp_path / "queue.lock")
    with pytest.raises(StoreUnavailable, match=f"process {os.getpid()}"):
        LockFile(tmp_path / "queue.lock")
    lock.release()
    LockFile(tmp_path / "queue.lock").release()


def test_another_process_is_named_and_its_death_lets_go(tmp_path):
    path, support = tmp_path / "queue.lock", Path(__file__).parents[2] / "support"
    command = [sys.executable, "-c", HOLDER, str(path), str(support)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        with pytest.raises(StoreUnavailable, match=f"process {holder.pid},"):
            LockFile(path)
        holder.kill()
        holder.wait(30)
    LockFile(path).release()


def test_a_place_that_cannot_hold_a_lock_is_named(tmp_path):
    with pytest.raises(StoreUnavailable, match=r"queue\.lock"):
        LockFile(tmp_path / "missing" / "queue.lock")
