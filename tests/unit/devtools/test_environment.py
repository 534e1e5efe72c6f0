"""What dev.py installs, and how it gets over an installation that was killed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from expeditor.devtools import environment
from expeditor.devtools.cache import Cache
from expeditor.devtools.comfyui import Tree
from expeditor.devtools.console import SetupError
from expeditor.devtools.process import explain, run_step

COMFYUI_LIST = "torch\ntorchvision\ntorchaudio\ntorchsde\ntransformers>=4.50.3\n\n# other\naiohttp>=3.11.8  # web\n"


def make_tree(folder: Path, *, from_wheel: bool) -> Tree:
    """A ComfyUI that is nothing but its list."""
    (folder / "requirements.txt").write_text(COMFYUI_LIST, encoding="utf-8")
    return Tree(folder, from_wheel=from_wheel)


def test_torch_is_pinned_and_torchaudio_left_out(tmp_path: Path) -> None:
    lines = environment.comfyui_requirements(make_tree(tmp_path, from_wheel=True))
    assert lines == [*environment.TORCH, "torchsde", "transformers>=4.50.3,<5", "aiohttp>=3.11.8"]


def test_the_limits_of_the_wheel_are_not_put_on_another_comfyui(tmp_path: Path) -> None:
    assert "transformers>=4.50.3" in environment.comfyui_requirements(make_tree(tmp_path, from_wheel=False))


def test_packages_whose_installation_was_killed_are_forgotten(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    whole, half = packages / "whole-1.dist-info", packages / "half-1.dist-info"
    for folder in (whole, half):
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text("", encoding="utf-8")
    (whole / "RECORD").write_text("", encoding="utf-8")
    environment.drop_half_installed(tmp_path)
    assert [path.name for path in packages.iterdir()] == ["whole-1.dist-info"]


def test_an_interpreter_of_the_users_is_not_installed_into_but_told_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPEDITOR_PYTHON", sys.executable)
    with pytest.raises(SetupError, match=r"lacks no_such_module_1\. In .* -m pip install -r requirements\.txt"):
        environment._check_brought(Path(sys.executable), ("sys", "no_such_module_1"), tmp_path)
    monkeypatch.setenv("EXPEDITOR_PYTHON", "/no/such/python")
    with pytest.raises(SetupError, match="EXPEDITOR_PYTHON names /no/such/python"):
        environment.ensure_full(Cache(tmp_path), tmp_path, None)


def test_too_little_room_is_said_before_anything_is_downloaded(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="needs about 1048576 GiB free"):
        environment._check_room(tmp_path, 1024**5)


@pytest.mark.parametrize(
    ("output", "meaning"),
    [
        ("NewConnectionError: ... [Errno -3] Temporary failure in name resolution", "could not be reached"),
        ("npm error code ENOTFOUND", "could not be reached"),
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: No matching distribution found for torch==2.14.1", "no build for this Python"),
        ("something else", ""),
    ],
)
def test_known_failures_are_explained(output: str, meaning: str) -> None:
    said = explain(output)
    assert meaning in said
    assert bool(said) == bool(meaning)


def test_a_failed_step_shows_the_end_of_its_output_and_keeps_the_rest(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "step.log"
    script = "import sys; print('one'); print('Network is unreachable'); sys.exit(3)"
    with pytest.raises(SetupError, match=r"(?s)a step failed \(exit 3\)\. .*could not be reached.*\| one.*step\.log"):
        run_step("a step", [sys.executable, "-c", script], log)
    assert log.read_text(encoding="utf-8").splitlines() == ["one", "Network is unreachable"]


def test_a_program_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot run no-such-program"):
        run_step("a step", ["no-such-program"], tmp_path / "log")
