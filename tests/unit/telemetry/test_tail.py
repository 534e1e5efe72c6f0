"""The last log lines: there for the next process, bounded, and harmless to whoever logs."""

from __future__ import annotations

import logging
import os

import pytest

from expeditor.telemetry.tail import LONGEST_RECORD, TAIL_BYTES, LogTail, read_tail


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lines.log"


@pytest.fixture
def tail(path):
    made = LogTail(path)
    made.attach()
    yield made
    made.close()


def test_lines_of_all_loggers_can_be_read_while_the_process_runs(tail, path):
    logging.getLogger("some.pack").error("a pack's %s", "line")
    logging.getLogger("expeditor.dispatch").warning("a line of ours")
    first, second = read_tail(path).splitlines()
    assert first.endswith("ERROR some.pack: a pack's line")
    assert second.endswith("WARNING expeditor.dispatch: a line of ours")


def test_ours_are_heard_once_also_when_they_are_kept_from_the_root(path):
    ours = logging.getLogger("expeditor")
    ours.propagate = False
    try:
        tail = LogTail(path)
        tail.attach()
        logging.getLogger("expeditor.dispatch").warning("a line of ours")
        tail.close()
    finally:
        ours.propagate = True
    assert len(read_tail(path).splitlines()) == 1
    assert tail not in [*logging.getLogger().handlers, *ours.handlers]


def test_only_the_last_lines_are_given_and_the_file_stays_small(tail, path):
    for number in range(5_000):
        logging.getLogger("busy").warning("line %d", number)
        assert path.stat().st_size < 6 * TAIL_BYTES
    lines = read_tail(path).splitlines()
    assert [int(line.rsplit(" ", 1)[1]) for line in lines] == list(range(4_950, 5_000))


def test_a_long_record_keeps_its_end(tail, path):
    logging.getLogger("long").warning("%s the end", "x" * 100_000)
    text = read_tail(path)
    assert len(text) == LONGEST_RECORD
    assert text.endswith("the end")


def test_a_cut_line_is_left_out(path):
    path.write_bytes(b"first line\nsecond line\nthird line\n")
    assert read_tail(path, size_bytes=20) == "third line"
    assert read_tail(path, lines=2) == "second line\nthird line"
    assert read_tail(path.with_name("nothing")) == ""


def test_a_file_that_cannot_be_written_costs_the_line_alone(tail, capsys):
    os.close(tail._file)
    logging.getLogger("x").error("not written")
    tail._file = -1
    assert capsys.readouterr().err == ""
