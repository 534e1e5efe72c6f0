"""The OpenAPI 3.1 document, put together from the operations. Pure.

Owns what all routes have in common: the error envelope, who must show a token, which errors any route may answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...jobs.model import JsonObject
from ..errors import CODE_HEADER, STATUS_BY_CODE
from ..guard import OPEN_PATHS
from . import (
    batch_operations,
    delivery_operations,
    event_operations,
    job_operations,
    job_schemas,
    server_operations,
    worker_operations,
)
from .parts import TEXT, WHOLE, Answer, Operation, Parameter, Schema, listed, nullable, ref, told, whole

_PARTS = (job_operations, batch_operations, event_operations, delivery_operations, server_operations, worker_operations)
OPERATIONS: tuple[Operation, ...] = tuple(operation for part in _PARTS for operation in part.OPERATIONS)
"""Every route of ours; those of the Comfy API v2 have a contract of their own."""

_DESCRIPTION = """\
A validated priority queue with durable jobs, inside ComfyUI. Every path also exists under `/api`.

Errors have one shape, `Error`; its code also stands in the reason phrase and in the header `X-Expeditor-Code`. 429 and 503 carry
`Retry-After`. The Comfy API v2 is served beside this, at `/api/v2` and `/expeditor/api/v2`, to the letter of its own contract."""
_SCHEMAS: dict[str, Schema] = {
    "Error": whole(
        {
            "error": whole(
                {
                    "code": told(TEXT, "One word for programs."),
                    "message": told(TEXT, "One sentence for people."),
                    "details": {"type": "object"},
                    "errors": told(listed(ref("Fault")), "Every fault found."),
                }
            )
        }
    ),
    "Fault": whole(
        {
            "pointer": told(TEXT, "JSON pointer (RFC 6901) into the body as sent."),
            "code": TEXT,
            "message": TEXT,
            "hint": nullable(TEXT),
        }
    ),
}
_RETRY_AFTER = {"Retry-After": told(WHOLE, "Seconds after which to try again.")}
_BUSY = (429, 503)


def document(version: str) -> JsonObject:
    """The whole document; ``version`` is the pack's."""
    paths: dict[str, JsonObject] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Expeditor",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in OPERATIONS)],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of the settings; asked for only where `require_token` is on.",
                }
            },
        },
    }


def schemas() -> dict[str, Schema]:
    """All named schemas."""
    named = {**_SCHEMAS, **job_schemas.SCHEMAS}
    for part in _PARTS:
        named.update(part.SCHEMAS)
    return named


def refusals(operation: Operation) -> dict[int, tuple[str, ...]]:
    """The error codes that a route may answer, by status."""
    found: dict[int, list[str]] = {}
    for code in operation.codes:
        found.setdefault(STATUS_BY_CODE[code], []).append(code)
    for status, codes in operation.also.items():
        found.setdefault(status, []).extend(codes)
    if operation.path not in OPEN_PATHS:
        found.setdefault(401, []).append("UNAUTHENTICATED")
    if operation.reads:
        found.setdefault(503, []).append("STORE_UNAVAILABLE")
    found.setdefault(500, []).append("INTERNAL")
    return {status: tuple(dict.fromkeys(codes)) for status, codes in sorted(found.items())}


def _operation(operation: Operation) -> JsonObject:
    good = {str(status): _answer(answer) for status, answer in operation.answers.items()}
    bad = {str(status): _refusal(status, codes) for status, codes in refusals(operation).items()}
    found: JsonObject = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": {**bad, **good},
    }
    if operation.parameters:
        found["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        found["requestBody"] = {"required": operation.body.required, "content": _content(operation.body.content)}
    if operation.path not in OPEN_PATHS:
        found["security"] = [{}, {"token": []}]
    return found


def _parameter(parameter: Parameter) -> JsonObject:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _answer(answer: Answer) -> JsonObject:
    found: JsonObject = {"description": answer.description}
    if answer.content:
        found["content"] = _content(answer.content)
    if answer.headers:
        found["headers"] = _headers(answer.headers)
    return found


def _refusal(status: int, codes: Iterable[str]) -> JsonObject:
    named = {"properties": {"error": {"properties": {"code": {"enum": list(codes)}}}}}
    headers = {CODE_HEADER: {"type": "string", "enum": list(codes)}, **(_RETRY_AFTER if status in _BUSY else {})}
    return {
        "description": ", ".join(codes),
        "content": {"application/json": {"schema": {"allOf": [ref("Error"), named]}}},
        "headers": _headers(headers),
    }


def _content(content: Mapping[str, Schema]) -> JsonObject:
    return {kind: {"schema": schema} for kind, schema in content.items()}


def _headers(headers: Mapping[str, Schema]) -> JsonObject:
    return {name: {"schema": schema} for name, schema in headers.items()}
