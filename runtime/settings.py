"""Every setting: its name, meaning, default and bounds.

Sources, weakest first: defaults, the TOML file ``expeditor.toml`` in the data directory, ``EXPEDITOR_*`` environment
variables. Validated once at start; an unknown key is an error that names the nearest one. ``docs/settings.md`` is
generated from this file. Owns no behaviour: services are given the values they need.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENV_PREFIX = "EXPEDITOR_"
FILE_NAME = "expeditor.toml"
FOREIGN_VARIABLES = frozenset({"CACHE_DIR", "PYTHON"})
"""``EXPEDITOR_*`` variables that are dev.py's, not the server's."""


class SettingsError(Exception):
    """The settings cannot be used; the message says which and what to do."""


class Settings(BaseSettings):
    """All settings; frozen. Times in seconds, sizes in bytes, as the names say."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, extra="forbid", frozen=True, env_ignore_empty=True, case_sensitive=False
    )

    enabled: bool = Field(True, description="Off: Expeditor registers its nodes and does nothing else.")
    data_dir: str | None = Field(
        None, description="Folder of the queue's database and logs. Default: ComfyUI's private user folder for Expeditor."
    )
    store: Literal["sqlite", "memory"] = Field(
        "sqlite", description="Where the queue lives. `memory` forgets everything at the end of the process."
    )
    store_deadline_s: float = Field(10.0, gt=0, le=300, description="How long a request waits for the store.")
    store_commit_delay_s: float = Field(
        0.0, ge=0, le=10, description="Extra time for each commit; for benchmarks of slow disks only."
    )

    hooks_queue: bool = Field(True, description="Own ComfyUI's queue: priority order, durable jobs, jobs API.")
    hooks_prompt: bool = Field(True, description="Lift `_priority` out of prompts before ComfyUI reads them.")
    hooks_middleware: bool = Field(
        True, description="Check stock routes' bodies, wait for the commit before `/prompt` answers, access log."
    )
    hooks_send: bool = Field(True, description="Keep an unsendable socket message from ending ComfyUI's process.")
    hooks_execute: bool = Field(True, description="Keep an exception outside a node from killing the worker thread.")
    hooks_observer: bool = Field(True, description="Watch socket messages for progress, node times and cancels.")

    ordering: Literal["fair", "strict"] = Field(
        "fair", description="`fair`: priority with ageing and fair shares. `strict`: priority alone; can starve low ones."
    )
    ageing_s: float = Field(
        120.0, ge=0, le=86_400, description="Head start of one priority point, in virtual seconds. 10 is most urgent."
    )
    weights: dict[str, float] = Field(
        default_factory=dict, description="Share of a principal among others, default 1 each. Environment: as JSON."
    )

    max_body_bytes: int = Field(
        104_857_600, gt=0, description="Largest body of `/prompt` and `/expeditor/submit`, next to ComfyUI's own limit."
    )
    max_nodes: int = Field(5_000, gt=0, description="Most nodes in a prompt.")
    max_depth: int = Field(64, gt=0, le=400, description="Deepest nesting of a value in a prompt.")
    max_string_bytes: int = Field(16_777_216, gt=0, description="Longest string in a prompt.")
    max_faults: int = Field(2_000, gt=0, description="Most faults reported in one answer.")
    numeric_ids_only: bool = Field(False, description="Accept only node ids of ASCII digits.")
    fill_defaults: bool = Field(
        True, description="`/expeditor/submit` fills missing required widgets with their declared defaults."
    )
    allow_nodes: list[str] = Field(
        default_factory=list, description="Globs of node classes that may be used; empty: all. Environment: as JSON."
    )
    deny_nodes: list[str] = Field(
        default_factory=list, description="Globs of node classes that may not be used; wins over allow. Environment: as JSON."
    )

    principal_from_client_id: bool = Field(True, description="A `client_id` names the principal when nothing better does.")
    trusted_user_header: str | None = Field(None, description="Header in which a trusted proxy names the user.")
    trusted_proxies: list[str] = Field(
        default_factory=list, description="Addresses or networks of proxies whose header is believed. Environment: as JSON."
    )

    max_message_bytes: int = Field(65_536, gt=0, description="Longest message to a waiting node.")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    log_format: Literal["json", "plain"] = Field("json", description="Shape of a log line.")
    log_file: str | None = Field(None, description="Also write log lines to this file (rotated at 10 MB, 5 kept).")
    access_log: bool = Field(True, description="One log line per request to the API (pages and files are left out).")
    sample_interval_s: float = Field(5.0, ge=0.5, le=3600, description="How often memory and utilisation are sampled.")

    def redacted(self) -> dict[str, Any]:
        """Values that differ from their defaults, for the log at start; nothing secret is among the settings yet."""
        return self.model_dump(exclude_defaults=True, mode="json")


def load(data_dir: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check the settings. Raises ``SettingsError`` with one precise sentence."""
    environ = os.environ if environ is None else environ
    file = data_dir / FILE_NAME
    values = _read_file(file)
    known = set(Settings.model_fields)
    for key in values:
        _require_known(key, known, f"{FILE_NAME}")
    for variable in environ:
        name = variable[len(ENV_PREFIX) :]
        if variable.startswith(ENV_PREFIX) and name not in FOREIGN_VARIABLES:
            _require_known(name.lower(), known, "the environment")
            values.pop(name.lower(), None)
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "settings"
        raise SettingsError(f"Setting {name}: {first['msg']} (got {first.get('input')!r}).") from error
    except ValueError as error:
        raise SettingsError(f"Settings: {error}") from error


def _read_file(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{FILE_NAME} cannot be read: {error}") from error


def _require_known(key: str, known: set[str], where: str) -> None:
    if key in known:
        return
    near = difflib.get_close_matches(key, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else " docs/settings.md lists them all."
    raise SettingsError(f"Unknown setting {key} in {where}.{hint}")


def describe() -> list[tuple[str, str, str, str]]:
    """Rows of the settings table: name, type, default, description."""
    model: type[BaseModel] = Settings
    rows: list[tuple[str, str, str, str]] = []
    for name, info in model.model_fields.items():
        default = info.get_default(call_default_factory=True)
        annotation = str(info.annotation).replace("typing.", "").replace("<class '", "").replace("'>", "")
        rows.append((name, annotation, repr(default), info.description or ""))
    return rows
