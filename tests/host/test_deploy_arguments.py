"""The arguments that deploy/ gives to ComfyUI are some that it knows."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.support.comfy_server import ROOT, comfyui_tree


def known() -> set[str]:
    """The long options of the ComfyUI under test."""
    text = (comfyui_tree() / "comfy/cli_args.py").read_text(encoding="utf-8")
    return set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', text))


def of_compose() -> list[str]:
    text = (ROOT / "deploy/compose/compose.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["services"]["gpu1"]["command"]


def of_kubernetes() -> list[str]:
    text = (ROOT / "deploy/kubernetes/instances.yaml").read_text(encoding="utf-8")
    (found,) = [each for each in yaml.safe_load_all(text) if each["kind"] == "StatefulSet"]
    return found["spec"]["template"]["spec"]["containers"][0]["args"]


@pytest.mark.parametrize("arguments", [of_compose(), of_kubernetes()], ids=["compose", "kubernetes"])
def test_comfyui_knows_them(arguments: list[str]) -> None:
    given = {word for word in arguments if word.startswith("--")}
    assert len(given) > 4
    assert given <= known()
