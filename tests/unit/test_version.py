"""The version is written twice, because a pack in `custom_nodes/` has no installed metadata to read it from."""

from __future__ import annotations

import re
from pathlib import Path

from expeditor.runtime.health import VERSION

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def test_the_server_tells_the_version_of_the_project():
    declared = re.search(r'^version = "(.+)"$', PROJECT.read_text(encoding="utf-8"), re.MULTILINE)
    assert declared is not None
    assert declared[1] == VERSION
