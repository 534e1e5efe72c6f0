"""A log whose stream is not read: no caller waits for it, and what found no room is counted and told."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from expeditor.telemetry.background import BackgroundHandler
from expeditor.telemetry.logs import configure
from tests.support.waiting import wait_until

SUPPORT = Path(__file__).parents[2] / "support"


class FakeFrozenTerminal(io.StringIO):
    """Takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.free = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.free.wait(30)
        return super().write(text)


@pytest.fixture
def frozen():
    terminal = FakeFrozenTerminal()
    yield terminal
    terminal.free.set()
    configure(None, logging.NOTSET, "json", None)


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("expeditor.x", logging.INFO, "", 0, text, None, None)


def test_a_frozen_stream_stops_no_caller_and_does_not_stop_the_file(frozen: FakeFrozenTerminal, tmp_path: Path):
    configure(frozen, "info", "json", tmp_path / "log")
    logging.getLogger("expeditor.x").info("first")
    assert frozen.reached.wait(30)
    logging.getLogger("expeditor.x").info("second")
    assert frozen.getvalue() == ""
    wait_until(lambda: (tmp_path / "log").read_text(encoding="utf-8").count("\n") == 2)
    frozen.free.set()
    wait_until(lambda: frozen.getvalue().count("\n") == 2)
    assert [json.loads(line)["message"] for line in frozen.getvalue().splitlines()] == ["first", "second"]


def test_what_finds_no_room_is_counted_and_told_once_there_is_room(frozen: FakeFrozenTerminal):
    handler = BackgroundHandler(logging.StreamHandler(frozen), capacity=3)
    handler.handle(record("first"))
    assert frozen.reached.wait(30)
    for n in range(5):
        handler.handle(record(f"line {n}"))
    assert handler.dropped == 2
    frozen.free.set()
    handler.close()
    lines = frozen.getvalue().splitlines()
    assert lines[:4] == ["first", "line 0", "line 1", "line 2"]
    assert lines[4].startswith("2 log lines were dropped")


def test_a_record_that_cannot_be_formatted_ends_nothing(capsys: pytest.CaptureFixture[str]):
    stream = io.StringIO()
    handler = BackgroundHandler(logging.StreamHandler(stream))
    handler.handle(logging.LogRecord("expeditor.x", logging.INFO, "", 0, "%d", ("no number",), None))
    handler.handle(record("fine"))
    handler.close()
    assert stream.getvalue() == "fine\n"
    assert "Logging error" in capsys.readouterr().err


CHILD = """
import logging, sys
sys.path.insert(0, sys.argv[1])
import child_imports
from expeditor.telemetry.logs import configure
configure(sys.stderr, "info", "json", None)
for n in range(int(sys.argv[2])):
    logging.getLogger("expeditor.x").info("line %d", n)
sys.stdout.write("all logged")
sys.stdout.flush()
"""


def _child(lines: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(SUPPORT), str(lines)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_pipe_that_nobody_reads_stops_no_caller():
    with _child(5_000) as child:
        try:
            assert child.stdout.read(len("all logged")) == "all logged"  # a pipe holds some 64 KB: a tenth of it
        finally:
            child.kill()


def test_all_lines_are_written_before_the_process_ends():
    with _child(500) as child:
        said, lines = child.communicate(timeout=60)
    assert said == "all logged"
    assert [json.loads(line)["message"] for line in lines.splitlines()] == [f"line {n}" for n in range(500)]
