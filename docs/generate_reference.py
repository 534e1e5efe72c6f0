"""Writes docs/reference.md from the OpenAPI document: `python docs/generate_reference.py`, run in the checkout.

`page()` is pure; tests/unit/test_openapi.py holds the file equal to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference.md"
METHODS = ("get", "post", "put", "patch", "delete", "head")
DEEPEST = 3

HEAD = """\
# Reference

<!-- Written by docs/generate_reference.py from routes/openapi/. Change it there. -->

Every route with its parameters, fields, answers and errors, made from the OpenAPI 3.1 document that the server gives out at
`/expeditor/openapi.json`: load that into any tool that draws or tries out an API, or makes clients from it. [The HTTP API](api.md) tells
the same as a story with examples. Every path also exists under `/api`. Any route but those of health and metrics may answer 401
`UNAUTHENTICATED`, and any 500 `INTERNAL`; both are left out below. Errors are `{"error": {"code", "message", "details", "errors"}}`.

"""


def page(document: dict[str, Any]) -> str:
    """The whole page."""
    return HEAD + "\n".join([*_overview(document), *_operations(document), *_schemas(document)])


def _routes(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def _overview(document: dict[str, Any]) -> Iterator[str]:
    yield "| route | what |"
    yield "|---|---|"
    for method, path, operation in _routes(document):
        yield f"| [`{method} {path}`](#{operation['operationId'].lower()}) | {operation['summary']} |"
    yield ""


def _operations(document: dict[str, Any]) -> Iterator[str]:
    for tag in document["tags"]:
        for method, path, operation in _routes(document):
            if operation["tags"] == [tag["name"]]:
                yield from _operation(method, path, operation)


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"## {operation['operationId']}"
    yield ""
    yield f"`{method} {path}`: {operation['summary']}"
    yield ""
    yield from _rows(
        ("parameter", "in", "value", "meaning"),
        [
            (f"`{each['name']}`", each["in"], _value(each["schema"]), each["description"])
            for each in operation.get("parameters", [])
        ],
    )
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = content["schema"]
        yield f"Body, `{kind}`: {_value(schema)}" + (
            "" if operation["requestBody"]["required"] else " (may be left out)"
        )
        yield ""
        yield from _fields(schema)
    yield from _rows(("answer", "", "body"), list(_answers(operation)))


def _answers(operation: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for status, answer in sorted(operation["responses"].items()):
        if status in ("401", "500"):
            continue
        content = answer.get("content", {})
        if "X-Expeditor-Code" in answer.get("headers", {}):
            codes = ", ".join(f"`{code}`" for code in answer["description"].split(", "))
            yield status, codes, "`Error`"
        else:
            bodies = ", ".join(_body(kind, each["schema"]) for kind, each in content.items())
            yield status, answer["description"], bodies or "none"


def _body(kind: str, schema: dict[str, Any]) -> str:
    return _value(schema) if kind == "application/json" else f"`{kind}`"


def _schemas(document: dict[str, Any]) -> Iterator[str]:
    for name, schema in document["components"]["schemas"].items():
        yield f"## {name}"
        yield ""
        if "properties" in schema:
            yield from _fields(schema)
        else:
            yield f"{_value(schema)}"
            yield ""


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    rows = list(_properties(schema, "", 1))
    yield from _rows(("field", "value", "meaning"), rows)


def _properties(schema: dict[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, ...]]:
    required = schema.get("required", []) if schema.get("additionalProperties") is False else []
    for name, inner in schema.get("properties", {}).items():
        text = inner.get("description", "")
        yield f"`{prefix}{name}`", _value(inner), f"**required** {text}".strip() if name in required else text
        if depth < DEEPEST and "properties" in inner:
            yield from _properties(inner, f"{prefix}{name}.", depth + 1)


def _value(schema: dict[str, Any]) -> str:
    """What may stand there, in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_value(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{str(each).lower() if isinstance(each, bool) else each}`" for each in schema["enum"])
    kinds = schema.get("type", "anything")
    return " or ".join(_kind(kind, schema) for kind in (kinds if isinstance(kinds, list) else [kinds]))


def _kind(kind: str, schema: dict[str, Any]) -> str:
    if kind == "array":
        return f"list of {_value(schema['items'])}" if "items" in schema else "empty list"
    if kind == "string":
        return {"date-time": "time (RFC 3339)"}.get(schema.get("format", ""), "text")
    if kind in ("integer", "number"):
        return {"integer": "whole number", "number": "number"}[kind] + _bounds(schema)
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"table of {_value(schema['additionalProperties'])}"
    return {"boolean": "true or false"}.get(kind, kind)


def _bounds(schema: dict[str, Any]) -> str:
    least, above, most = schema.get("minimum"), schema.get("exclusiveMinimum"), schema.get("maximum")
    parts = (
        None if least is None else f"from {least:,}",
        None if above is None else f"above {above:,}",
        None if most is None else f"to {most:,}",
    )
    told = " ".join(part for part in parts if part)
    return f" {told}" if told else ""


def _rows(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    if rows:
        yield "| " + " | ".join(head) + " |"
        yield "|" + "---|" * len(head)
        for row in rows:
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
        yield ""


def main() -> int:
    """Write the page; 0 when it could be written."""
    package = ModuleType("expeditor")  # the pack's own folder as a package, without its doorway, which needs ComfyUI
    package.__path__ = [str(ROOT)]
    sys.modules["expeditor"] = package
    from expeditor.routes.openapi.document import document  # noqa: PLC0415 - importable only from here on

    PAGE.write_text(page(document("")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
