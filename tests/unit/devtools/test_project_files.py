"""pyproject.toml, the requirements lists and the folders agree with each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import house_rules
from tests.support.project_file import project

ROOT = Path(__file__).resolve().parents[3]


def listed(name: str) -> set[str]:
    """The requirements of a list, comments left out."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return {line for line in lines if line}


def test_requirements_txt_is_the_projects_dependencies() -> None:
    assert listed("requirements.txt") == set(project()["project"]["dependencies"])


def test_requirements_dev_txt_is_the_extra_dev() -> None:
    assert listed("requirements-dev.txt") == set(project()["project"]["optional-dependencies"]["dev"])


def test_the_packages_are_the_rooms_and_what_is_in_them() -> None:
    folders = (path.parent.relative_to(ROOT) for room in house_rules.ROOMS for path in (ROOT / room).rglob("*.py"))
    wanted = {"expeditor", *(".".join(["expeditor", *folder.parts]) for folder in folders)}
    assert set(project()["tool"]["setuptools"]["packages"]) == wanted


def test_every_package_folder_has_an_init() -> None:
    missing = [
        str(path.parent.relative_to(ROOT))
        for room in house_rules.ROOMS
        for path in (ROOT / room).rglob("*.py")
        if not (path.parent / "__init__.py").is_file()
    ]
    assert not missing


def test_what_is_not_python_is_installed_too() -> None:
    patterns = [
        str(Path(*package.split(".")[1:]) / pattern)
        for package, each in project()["tool"]["setuptools"]["package-data"].items()
        for pattern in each
    ]
    installed = {path for pattern in patterns for path in ROOT.glob(pattern)}
    needed = {
        path
        for folder in (*house_rules.ROOMS, "web", "locales", "example_workflows")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert needed <= installed, sorted(str(path.relative_to(ROOT)) for path in needed - installed)


def test_the_registry_finds_what_it_demands() -> None:
    comfy, head = project()["tool"]["comfy"], project()["project"]
    assert {"PublisherId", "DisplayName", "requires-comfyui"} <= comfy.keys()
    assert "web" not in comfy, "WEB_DIRECTORY names the page files; both together load every script twice"
    assert re.fullmatch(r"\d+\.\d+\.\d+", head["version"])
    assert "text" in head["license"] or "file" in head["license"]
    assert head["urls"]["Repository"]


@pytest.mark.parametrize("name", ["ruff", "pytest"])
def test_tools_whose_verdict_changes_with_their_version_are_bounded(name: str) -> None:
    (line,) = (line for line in listed("requirements-dev.txt") if re.match(rf"{name}\b(?!-)", line))
    assert "<" in line
