"""The arguments that deploy/ gives to ComfyUI are some that it knows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.comfy_server import ROOT, comfyui_tree


def known() -> set[str]:
    """The long options of the ComfyUI under test."""
    text = (comfyui_tree() / "comfy/cli_args.py").read_text(encoding="utf-8")
    return set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', text))


def of_compose() -> tuple[list[str], list[str]]:
    """What is started, and its arguments."""
    text = (ROOT / "deploy/compose/compose.yaml").read_text(encoding="utf-8")
    instance = yaml.safe_load(text)["services"]["gpu1"]
    return [word.replace("$$", "$") for word in instance["entrypoint"]], instance["command"]


def of_kubernetes() -> tuple[list[str], list[str]]:
    text = (ROOT / "deploy/kubernetes/instances.yaml").read_text(encoding="utf-8")
    (found,) = [each for each in yaml.safe_load_all(text) if each["kind"] == "StatefulSet"]
    container = found["spec"]["template"]["spec"]["containers"][0]
    return container["command"], container["args"]


BOTH = pytest.mark.parametrize("started", [of_compose(), of_kubernetes()], ids=["compose", "kubernetes"])


@BOTH
def test_comfyui_knows_them(started: tuple[list[str], list[str]]) -> None:
    given = {word for word in started[1] if word.startswith("--")}
    assert len(given) > 4
    assert given <= known()


@BOTH
def test_comfyui_takes_them_on_a_volume_that_is_empty(started: tuple[list[str], list[str]], tmp_path: Path) -> None:
    """The command as it stands, with a disk of the test's and a main.py that does nothing but read ComfyUI's arguments."""
    reads = f"import sys; sys.path.insert(0, {str(comfyui_tree())!r}); import comfy.options; comfy.options.enable_args_parsing()\n"
    reads += "from comfy.cli_args import args; import os\n"
    # It makes the others itself; without a folder of inputs its list of nodes is an error, and the page stays empty.
    reads += "print(args.user_directory, args.port, *map(os.path.isdir, (args.user_directory, args.input_directory)))"
    (tmp_path / "main.py").write_text(reads, encoding="utf-8")
    python = os.environ.get("EXPEDITOR_PYTHON") or sys.executable
    words = [
        word.replace("/data", f"{tmp_path}/data").replace("exec python", f"exec {python}")
        for part in started
        for word in part
    ]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == [f"{tmp_path}/data/user", "8188", "True", "True"], done.stderr


def test_the_folders_of_the_guide_are_made_by_its_commands() -> None:
    """Those that ComfyUI needs and does not make."""
    page = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    (block,) = [block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "main.py" in block]
    (made,) = [line.split()[2:] for line in block.splitlines() if line.startswith("mkdir -p")]
    needed = re.findall(r"--(?:user|input)-directory (\S+)", block)
    assert len(needed) == 4
    assert set(needed) <= set(made)
