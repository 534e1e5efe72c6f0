"""Whether what is sent is what the OpenAPI document says, more strictly than a client may: no field that is not described."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator, FormatChecker


def closed(schema: Any) -> Any:
    """A copy in which objects of answers have no other fields than those described; requests are closed already."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {name: closed(value) for name, value in schema.items()}
    if copy.get("type") == "object" and "properties" in copy and "required" in copy:
        copy.setdefault("additionalProperties", False)
    return copy


def strict(document: dict[str, Any]) -> dict[str, Any]:
    """The document with its named schemas closed."""
    components = {**document["components"], "schemas": closed(document["components"]["schemas"])}
    return {**document, "components": components}


class Conformance:
    """Judges JSON by the document's named schemas."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._components = strict(document)["components"]

    def faults(self, name: str, sent: Any) -> list[str]:
        """What is wrong with it; nothing when it is as described."""
        schema = {"$ref": f"#/components/schemas/{name}", "components": self._components}
        judge = Draft202012Validator(schema, format_checker=FormatChecker())
        return [f"{list(error.absolute_path)}: {error.message}" for error in judge.iter_errors(sent)]
