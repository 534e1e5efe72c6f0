"""What runs, recorded for the next process: the last node, whatever its names are, and never an error for the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from expeditor.dispatch.blackbox import RECORD_BYTES, Blackbox, LastNode
from expeditor.dispatch.runs import RunTable
from tests.support.clocks import HandMonotonic
from tests.unit.dispatch.made import FakeInterrupter, FakeObserver

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def box(tmp_path):
    made = Blackbox(tmp_path / "last.json")
    made.open()
    yield made
    made.close()


def test_each_node_replaces_the_one_before(box, tmp_path):
    assert box.last() is None
    box.began("a-long-job-id", 1, "12:34", "SomeVeryLongClassName")
    box.began("b", 2, None, None)
    assert box.last() == LastNode("b", 2, None, None)
    assert (tmp_path / "last.json").stat().st_size == RECORD_BYTES


def test_a_run_table_tells_of_claims_and_nodes(box):
    runs = RunTable(interrupter=FakeInterrupter(), observer=FakeObserver(), monotonic=HandMonotonic(), recorder=box)
    runs.begin("a", {"1": "Loader"}, 1.0, attempt=3)
    assert box.last() == LastNode("a", 3, None, None)
    runs.signal("executing", {"prompt_id": "a", "node": "1"})
    assert box.last() == LastNode("a", 3, "1", "Loader")
    runs.signal("executing", {"prompt_id": "a", "node": None})
    assert box.last() == LastNode("a", 3, "1", "Loader"), "the last node is still the last"


@pytest.mark.parametrize("name", ["n" * 5_000, "\u2028" * 5_000, "😀" * 5_000])
def test_names_of_any_length_fit(box, name):
    box.began("a", 1, name, name)
    last = box.last()
    assert last is not None
    assert (last.job_id, last.attempt) == ("a", 1)


@pytest.mark.parametrize("junk", [b"", b"\0" * 1024, b"[1, 2]", b'["a", "x", null, null]', b"\xff\xfe"])
def test_a_file_that_says_nothing_is_no_evidence(tmp_path, junk):
    path = tmp_path / "last.json"
    path.write_bytes(junk)
    assert Blackbox(path).last() is None


def test_a_file_that_cannot_be_written_ends_the_recording_and_nothing_else(box, caplog):
    assert box._file is not None
    os.close(box._file)
    box.began("a", 1, "1", "X")
    box.began("a", 1, "2", "Y")
    assert [record.event for record in caplog.records] == ["blackbox.failed"]


CHILD = """
import os, sys, types
from pathlib import Path
package = types.ModuleType("expeditor")
package.__path__ = [sys.argv[1]]
sys.modules["expeditor"] = package
from expeditor.dispatch.blackbox import Blackbox
box = Blackbox(Path(sys.argv[2]))
box.open()
box.began("a", 1, "7", "Kills")
os._exit(9)
"""


def test_it_survives_a_process_that_ends_without_a_word(tmp_path):
    path = tmp_path / "last.json"
    done = subprocess.run([sys.executable, "-c", CHILD, str(ROOT), str(path)], check=False)
    assert done.returncode == 9
    assert Blackbox(path).last() == LastNode("a", 1, "7", "Kills")
