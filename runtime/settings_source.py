"""Where settings come from: the TOML file ``expeditor.toml`` in the data directory, ``EXPEDITOR_*`` environment variables.

Sources, weakest first: defaults, file, environment. Read and checked once at start; an unknown key is an error that names the
nearest one. Owns no setting (``settings``).
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .settings import ENV_PREFIX, Settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "expeditor.toml"
SECRET_SETTINGS = frozenset({"store", "tokens", "webhook_secret", "webhook_url"})
"""Settings whose values are never repeated in a message."""
FOREIGN_VARIABLES = frozenset({"CACHE_DIR", "CHROMIUM", "PYTHON", "REDIS", "TOKEN", "URL"})
"""``EXPEDITOR_*`` variables that are dev.py's and the command line's, not the server's."""


class SettingsError(Exception):
    """The settings cannot be used; the message says which and what to do."""


def load(data_dir: Path) -> Settings:
    """Read and check the settings. Raises ``SettingsError`` whose message names every fault."""
    values = _read_file(data_dir / FILE_NAME)
    for key in values:
        _require_known(key, FILE_NAME)
    if "data_dir" in values:
        raise SettingsError(
            f"data_dir cannot stand in {FILE_NAME}, which lies in that folder; set {ENV_PREFIX}DATA_DIR."
        )
    for name in _given(os.environ):
        _require_known(name, "the environment")
        if os.environ.get(ENV_PREFIX + name.upper()) != "":
            values.pop(name, None)
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(" ".join(_sentence(dict(fault)) for fault in error.errors())) from error
    except ValueError as error:
        raise SettingsError(f"Settings: {error}.") from error


def _given(variables: Iterable[str]) -> list[str]:
    """The names of our settings among the environment's variables, unknown ones too."""
    ours = [name[len(ENV_PREFIX) :] for name in variables if name.startswith(ENV_PREFIX)]
    return [name.lower() for name in ours if name not in FOREIGN_VARIABLES]


def _sentence(fault: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in fault["loc"] if part != "[key]") or "settings"
    if SECRET_SETTINGS.intersection(map(str, fault["loc"])) or not fault["loc"]:
        return f"Setting {name}: {fault['msg']}."
    return f"Setting {name}: {fault['msg']} (got {fault.get('input')!r})."


def _read_file(file: Path) -> dict[str, Any]:
    try:
        if not file.is_file():
            return {}
        # utf-8-sig: some editors put a byte order mark in front, which TOML does not know.
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{FILE_NAME} cannot be read: {error}") from error


def _require_known(key: str, where: str) -> None:
    known = sorted(Settings.model_fields)
    if key in known:
        return
    near = difflib.get_close_matches(key.lower(), known, n=1)
    hint = f" Did you mean {near[0]}?" if near else " docs/settings.md lists them all."
    raise SettingsError(f"Unknown setting {key} in {where}.{hint}")
