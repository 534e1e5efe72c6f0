"""The words of which operations are made: records for routes, and small makers of JSON Schema (draft 2020-12). Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
WHOLE: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
SECONDS: Schema = {"type": "number", "minimum": 0}
TIME: Schema = {"type": "string", "format": "date-time"}
ANY_OBJECT: Schema = {"type": "object"}
UUID: Schema = {"type": "string", "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"}


def ref(name: str) -> Schema:
    """A schema of ``components``."""
    return {"$ref": f"#/components/schemas/{name}"}


def told(schema: Schema, description: str) -> Schema:
    """The schema with a sentence on what it means."""
    return {**schema, "description": description}


def nullable(schema: Schema) -> Schema:
    """It, or null."""
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema:
        return {**schema, "type": [kind, "null"]}
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    description = {"description": schema["description"]} if "description" in schema else {}
    bare = {name: value for name, value in schema.items() if name != "description"}
    return {"anyOf": [bare, {"type": "null"}], **description}


def words(known: Collection[str]) -> Schema:
    """One of a closed set."""
    return {"type": "string", "enum": sorted(known)}


def listed(of: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": of}


def table(of: Schema) -> Schema:
    """An object with any names."""
    return {"type": "object", "additionalProperties": of}


def whole(fields: Mapping[str, Schema]) -> Schema:
    """An object of an answer: it has all of these fields, always; clients must not mind new ones."""
    return {"type": "object", "required": list(fields), "properties": dict(fields)}


def asked(fields: Mapping[str, Schema], required: Collection[str] = ()) -> Schema:
    """An object of a request: it has no other fields than these."""
    return {
        "type": "object",
        **({"required": list(required)} if required else {}),
        "properties": dict(fields),
        "additionalProperties": False,
    }


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer. ``content``: schema by content type; none: no body. ``headers``: schema by name."""

    description: str
    content: Mapping[str, Schema] = field(default_factory=lambda: {})
    headers: Mapping[str, Schema] = field(default_factory=lambda: {})


def json_answer(schema: Schema, description: str, headers: Mapping[str, Schema] | None = None) -> Answer:
    """An answer in JSON."""
    return Answer(description, {"application/json": schema}, headers or {})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; ``where`` is ``path``, ``query`` or ``header``."""

    name: str
    where: str
    schema: Schema
    description: str


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body: schema by content type."""

    content: Mapping[str, Schema]
    required: bool = True


@dataclass(frozen=True, slots=True)
class Operation:
    """One route. ``codes``: the errors that it may answer besides those of every route of its kind (``document`` adds them).

    ``also``: statuses that a code may come with besides its usual one. ``reads``: it asks the store, so it may be away.
    """

    method: str
    path: str
    name: str
    tag: str
    summary: str
    answers: Mapping[int, Answer]
    codes: tuple[str, ...] = ()
    also: Mapping[int, tuple[str, ...]] = field(default_factory=lambda: {})
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    reads: bool = True


def in_path(name: str, description: str) -> Parameter:
    """A part of the path."""
    return Parameter(name, "path", TEXT, description)


def in_query(name: str, schema: Schema, description: str) -> Parameter:
    """A query parameter; none is required."""
    return Parameter(name, "query", schema, description)
