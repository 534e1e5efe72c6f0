"""pyproject.toml as the tests read it."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]


@cache
def project() -> dict[str, Any]:
    """The whole of it."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def declared() -> frozenset[str]:
    """The names of all distributions that it demands, those of the extras too."""
    head = project()["project"]
    lines = [*head["dependencies"], *(line for extra in head["optional-dependencies"].values() for line in extra)]
    return frozenset(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in lines)
