"""ComfyUI's own execution tests, run against a copy of its tree in which Expeditor is installed: all pass.

Takes about four minutes, so it runs with `--full` only. The copy is thrown away; the tree of the development set-up is
never written to. Timing checks of the suite are left out: they judge the machine. So is the history that comes back after a
restart, which is ours to give and which the suite, on purpose, does not expect.
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import pytest

from tests.support.comfy_server import ROOT, comfyui_tree, free_port

SUITE_DEADLINE_S = 1_200.0
LEAST_TESTS = 200  # 0.3.75 has 232; a suite that shrinks to a few would prove nothing


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A ComfyUI folder of our own with Expeditor among its custom nodes."""
    copy = tmp_path / "comfyui"
    shutil.copytree(comfyui_tree(), copy, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".git"))
    pack = copy / "custom_nodes" / "expeditor"
    pack.parent.mkdir(exist_ok=True)
    pack.symlink_to(ROOT, target_is_directory=True)
    return copy


def _run(tree: Path, report: Path) -> str:
    """All that the suite and its servers wrote; the verdicts are in `report`."""
    python = Path(os.environ.get("EXPEDITOR_PYTHON") or sys.executable)
    # The suite starts its servers as plain `python`.
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", "")])
    command = [
        *(str(python), "-m", "pytest", "tests/execution", "-q", "--skip-timing-checks", "--port", str(free_port())),
        *("-p", "no:cacheprovider", f"--junitxml={report}"),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("EXPEDITOR_", "PYTEST_"))}
    # It starts one server after another in one folder, and counts what is in the history of each as of a new one.
    as_new = {"EXPEDITOR_HISTORY_RESTORED": "0"}
    run = subprocess.run(
        command,
        cwd=tree,
        env={**environment, **as_new, "PATH": path, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=SUITE_DEADLINE_S,
        check=False,
    )
    return run.stdout


def _reasons(report: Path) -> str:
    """What the failures say, most frequent first."""
    faults = [fault for kind in ("failure", "error") for fault in ET.parse(report).getroot().iter(kind)]  # noqa: S314
    said = Counter(fault.attrib.get("message", "")[:300] for fault in faults)
    return "".join(f"\n{count} × {message}" for message, count in said.most_common(8)) + "\n"


@pytest.mark.full
def test_comfyuis_own_execution_tests_pass(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    # The deadline of a single test of ours is shorter than this whole suite; SUITE_DEADLINE_S takes its place.
    faulthandler.cancel_dump_traceback_later()
    report = tmp_path / "report.xml"
    said = _run(tree, report)
    assert report.exists(), said[-6000:]
    counts = [suite.attrib for suite in ET.parse(report).getroot().iter("testsuite")]  # noqa: S314 - our own file
    total, failed, broken, skipped = (
        sum(int(each[name]) for each in counts) for name in ("tests", "failures", "errors", "skipped")
    )
    with capsys.disabled():
        sys.stdout.write(
            f"\nComfyUI's execution tests with Expeditor: {total} run, {failed + broken} failed, {skipped} skipped\n"
        )
    assert (failed, broken) == (0, 0), _reasons(report) + said[-6000:]
    assert total - skipped >= LEAST_TESTS
    assert "custom_nodes/expeditor" in said.replace("\\", "/")
    assert "(IMPORT FAILED)" not in next(
        line for line in said.splitlines() if line.rstrip().endswith("custom_nodes/expeditor")
    )
    assert list((tree / "user").glob("__expeditor/*")), "Expeditor has not opened its store in that tree"
