"""Reads the ``.sql`` files beside it: no SQL stands in Python. Knows nothing of what the statements say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_FOLDER = Path(__file__).parent
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load_script(name: str) -> str:
    """The text of ``name.sql``, several statements."""
    return (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")


def load_statements(name: str = "queries") -> Mapping[str, str]:
    """The statements of ``name.sql`` by their names; ``ValueError`` when a name stands twice."""
    _, *parts = _NAME.split(load_script(name))
    names, texts = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{name}.sql holds a name twice")
    return dict(zip(names, (text.strip() for text in texts), strict=True))
