"""What a dead process leaves: the last node, the last log lines and where it crashed, read by the next one; never an obstacle."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from expeditor.runtime.evidence import CRASH_FILE, LOG_FILE, NODE_FILE, Evidence

ROOT = Path(__file__).resolve().parents[3]

CHILD = """
import ctypes, logging, os, sys, types
from pathlib import Path
package = types.ModuleType("expeditor")
package.__path__ = [sys.argv[1]]
sys.modules["expeditor"] = package
from expeditor.runtime.evidence import Evidence
evidence = Evidence(Path(sys.argv[2]))
evidence.record()
evidence.blackbox.began("job", 2, "7", "Sampler")
logging.getLogger("a.pack").error("its last words")
ctypes.string_at(0) if sys.argv[3] == "crash" else os._exit(9)
"""


def die(folder: Path, how: str) -> int:
    command = [sys.executable, "-c", CHILD, str(ROOT), str(folder), how]
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode


def test_a_process_that_exits_without_a_word_is_known_by_its_last_node_and_lines(tmp_path):
    assert die(tmp_path, "exit") == 9
    ((key, seen),) = Evidence(tmp_path).seen().items()
    assert key == ("job", 2)
    assert (seen.node_id, seen.class_type) == ("7", "Sampler")
    assert seen.log_tail is not None
    assert seen.log_tail.endswith("ERROR a.pack: its last words")


@pytest.mark.skipif(sys.platform == "win32", reason="a signal of POSIX")
def test_where_python_crashed_stands_below_the_last_lines(tmp_path):
    assert die(tmp_path, "crash") == -signal.SIGSEGV
    (seen,) = Evidence(tmp_path).seen().values()
    assert seen.log_tail is not None
    words, _, crash = seen.log_tail.partition("Fatal Python error: Segmentation fault")
    assert words.rstrip().endswith("its last words")
    assert 'File "<string>"' in crash


def test_what_was_read_is_not_read_twice_when_the_next_process_records(tmp_path):
    die(tmp_path, "crash")
    evidence = Evidence(tmp_path)
    evidence.record()
    try:
        evidence.blackbox.began("other", 1, None, None)
        logging.getLogger("x").warning("anew")
        (key, seen), *_ = evidence.seen().items()
        assert key == ("other", 1)
        assert seen.log_tail is not None
        assert "its last words" not in seen.log_tail
        assert "Segmentation" not in seen.log_tail
    finally:
        evidence.stop()
    assert not [handler for handler in logging.root.handlers if type(handler).__name__ == "LogTail"]


def test_nothing_is_written_before_it_records(tmp_path):
    evidence = Evidence(tmp_path)
    evidence.blackbox.began("job", 1, "1", "X")
    assert evidence.seen() == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [NODE_FILE, LOG_FILE, CRASH_FILE])
def test_a_file_that_cannot_be_opened_costs_only_the_evidence(tmp_path, caplog, name):
    (tmp_path / name).mkdir()
    evidence = Evidence(tmp_path)
    evidence.record()
    evidence.blackbox.began("job", 1, "1", "X")
    evidence.seen()
    evidence.stop()
    assert "evidence.failed" in [getattr(record, "event", "") for record in caplog.records]
    assert (tmp_path / name).is_dir()
