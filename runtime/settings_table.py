"""The table of all settings for ``docs/settings.md``. Owns how a setting is told, no setting (``settings``)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .settings import Settings
from .settings_api import ApiSettings

_KINDS = {
    "boolean": "`true`, `false`",
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "array": "list",
    "object": "table",
}


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One row of the settings table; ``values`` says what it takes, ``default`` as TOML would write it."""

    name: str
    values: str
    default: str
    description: str


def describe() -> list[SettingRow]:
    """Rows of the settings table, in the order of ``settings``; those for clients of the API come last."""
    whole = Settings.model_json_schema()
    schema = whole["properties"]
    tables = {f"#/$defs/{name}" for name, part in whole.get("$defs", {}).items() if part.get("type") == "object"}
    return [
        SettingRow(
            name,
            _values(schema[name], tables),
            _default(info.get_default(call_default_factory=True)),
            info.description or "",
        )
        for name, info in sorted(Settings.model_fields.items(), key=lambda field: field[0] in ApiSettings.model_fields)
    ]


def _values(schema: dict[str, Any], tables: set[str]) -> str:
    if "anyOf" in schema:
        return _values(schema["anyOf"][0], tables)
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    kind = _KINDS[schema["type"]]
    if kind == "list":
        kind += " of numbers" if schema["items"]["type"] in ("integer", "number") else " of texts"
    if schema.get("additionalProperties"):
        inner = schema["additionalProperties"]
        kind += " of tables" if inner.get("$ref") in tables else " of numbers" if "type" in inner else " of names"
    low, high = schema.get("minimum"), schema.get("maximum")
    above = schema.get("exclusiveMinimum")
    if low is not None and high is not None:
        return f"{kind} from {low:g} to {high:,.10g}"
    if above is not None and high is not None:
        return f"{kind} above {above:g}, at most {high:,.10g}"
    if low is None and above is None:
        return kind
    return f"{kind} above {above:g}" if low is None else f"{kind} from {low:g}"


def _default(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    return "" if value is None else json.dumps(value)
