"""Runs the cases of the swapped queue on ComfyUI's real `PromptQueue` in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.comfy_server import ROOT, comfyui_tree

DEADLINE_S = 300.0
CASES = ("queue_cases.py", "queue_races.py", "queue_batches.py", "queue_instances.py")


def test_the_swapped_queue_on_the_real_one() -> None:
    python = os.environ.get("EXPEDITOR_PYTHON") or sys.executable
    command = [
        *(python, "-m", "pytest", *(str(ROOT / "tests/host" / name) for name in CASES), "-q", "-p", "no:cacheprovider"),
        # ComfyUI's own imports warn; the cases are about the queue.
        *("-o", "filterwarnings=ignore"),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("EXPEDITOR_", "PYTEST_"))}
    run = subprocess.run(
        command,
        cwd=ROOT,
        env={**environment, "COMFYUI_DIR": str(comfyui_tree())},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=DEADLINE_S,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    assert "passed" in run.stdout
