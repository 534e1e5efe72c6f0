"""The commands of README.md and of the pages in docs/ do what those pages say, in their order, against a real server.

Blocks marked `bash` must succeed; those marked `console` show a refusal, whose JSON must be the one shown. The picture that they
paint is made small first: the same graph with an eighth of the pixels a side.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.comfy_server import ROOT, RealComfyUI
from tests.support.examples import EXAMPLES
from tests.support.waiting import wait_until

ADDRESS = "http://127.0.0.1:8188"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
WORKFLOW = "workflows/style_transfer_api.json"
DEADLINE_S = 300
PAGES = [
    *("README.md", "docs/api.md", "docs/operations.md", "docs/retries.md", "docs/one_call.md", "docs/batches.md"),
    *("docs/tokens.md", "docs/webhooks.md"),
]
# So that a page whose blocks were renamed is noticed.
FEWEST = {"README.md": 3, "docs/retries.md": 1, "docs/one_call.md": 1, "docs/tokens.md": 2, "docs/webhooks.md": 2}
# A refusal with status 400 and above fails the command, and whatever the server said is shown.
STRICT_CURL = 'set -euo pipefail\ncurl() { command curl --fail-with-body --show-error "$@"; }\n'


def blocks(page: str, kind: str) -> list[str]:
    """The page's code blocks of one kind."""
    return [body for word, body in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")) if word == kind]


def bash(server: RealComfyUI, folder: Path, script: str) -> str:
    """What the script prints; it must succeed."""
    done = subprocess.run(
        ["bash", "-c", script.replace(ADDRESS, server.url)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the commands run: holds the files that they name."""
    prompt = json.loads((EXAMPLES / WORKFLOW).read_text(encoding="utf-8"))
    for node in prompt.values():
        for name in ("width", "height", "x", "y", "left", "top", "right", "bottom"):
            if name in node["inputs"]:
                node["inputs"][name] //= 8
    file = tmp_path / "examples" / WORKFLOW
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(prompt), encoding="utf-8")
    (tmp_path / "example_workflows").mkdir()
    shutil.copy(ROOT / "example_workflows/style_transfer.jpg", tmp_path / "example_workflows")
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_work(expeditor_server: RealComfyUI, folder: Path, page: str) -> None:
    commands = blocks(page, "bash")
    assert len(commands) >= FEWEST.get(page, 4)
    bash(expeditor_server, folder, STRICT_CURL + "\n".join(commands))
    if page == "README.md":
        assert (folder / "painted.png").read_bytes().startswith(b"\x89PNG")
    if page == "docs/one_call.md":
        assert (folder / "inverted.png").read_bytes().startswith(b"\x89PNG")


def test_no_page_has_commands_that_no_test_runs() -> None:
    pages = ["README.md", *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]
    assert [page for page in pages if page not in PAGES and (blocks(page, "bash") or blocks(page, "console"))] == []


def test_the_page_s_command_answers_a_node_that_waits(expeditor_server: RealComfyUI, folder: Path) -> None:
    prompt = {
        "1": {"class_type": "WaitForMessage", "inputs": {"label": "What to paint?", "timeout_s": 120}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    job = expeditor_server.post("/expeditor/submit", json={"prompt": prompt}).json()
    pending = "/expeditor/messages/pending"
    wait_until(lambda: expeditor_server.get(pending).json()["pending"], what="the question")
    (command,) = [block for block in blocks("docs/page.md", "sh") if "/expeditor/messages" in block]
    answer = json.loads(bash(expeditor_server, folder, STRICT_CURL + command))
    assert (answer["delivered"], answer["prompt_id"]) == (True, job["id"])


def refusals(page: str) -> list[tuple[str, Any]]:
    """Command and shown answer of each `console` block."""
    pairs = [block.removeprefix("$ ").split("\n", 1) for block in blocks(page, "console")]
    return [(command, json.loads(shown)) for command, shown in pairs]


@pytest.mark.parametrize(("command", "shown"), [pair for page in PAGES for pair in refusals(page)])
def test_the_refusals_are_those_shown(expeditor_server: RealComfyUI, folder: Path, command: str, shown: Any) -> None:
    assert json.loads(bash(expeditor_server, folder, command)) == shown
