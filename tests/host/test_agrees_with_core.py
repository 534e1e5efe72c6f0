"""Our verdict on inputs is core's: a CPU graph mutated at random, judged by both inside a real ComfyUI process.

The comparison itself is `agreement_probe.py`, which runs in ComfyUI's tree and interpreter.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.comfy_server import ROOT, comfyui_tree

ROUNDS = 400
FULL_ROUNDS = 10_000


def probe(rounds: int, seed: int, folder: Path) -> dict[str, Any]:
    """Run the probe and read its report."""
    command = [
        os.environ.get("EXPEDITOR_PYTHON") or sys.executable,
        str(ROOT / "tests/host/agreement_probe.py"),
        *(str(ROOT), str(comfyui_tree()), str(rounds), str(seed)),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=540, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def assert_agreement(report: dict[str, Any]) -> None:
    assert not report["disagreements"], json.dumps(report["disagreements"], indent=1)[:6000]
    # Otherwise nothing would have been compared.
    assert report["core_refused"] > report["rounds"] / 20
    assert report["node_faults"] > report["rounds"] / 8
    assert report["met_again"] > report["rounds"] / 20
    assert report["core_is_own"]


def test_our_verdict_on_inputs_is_cores(tmp_path: Path) -> None:
    report = probe(ROUNDS, 1, tmp_path)
    assert_agreement(report)
    assert report["classes"] > 300
    assert report["unreadable"] == []
    assert report["not_kept"] == []


@pytest.mark.full
def test_our_verdict_on_inputs_is_cores_at_length(tmp_path: Path) -> None:
    assert_agreement(probe(FULL_ROUNDS, 2, tmp_path))
