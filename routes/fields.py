"""A request body as named fields, whether it came as JSON or as a form.

Owns the reading (size, encoding, form or JSON) and the faults of a body that cannot be read. Does not own what the
fields mean: each route asks for its own with ``text_field`` or hands the fields to a service.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Collection
from typing import Any, NoReturn, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ..intake.faults import pointer
from ..jobs.errors import Fault, InputInvalid, InvalidJson, LimitExceeded

FORM_TYPES = frozenset({"multipart/form-data", "application/x-www-form-urlencoded"})

# What aiohttp's form parser lets through of broken parts, headers, encodings and compression.
BROKEN_FORM = (ValueError, AssertionError, LookupError, RuntimeError, zlib.error, HttpProcessingError)


async def read_fields(
    request: web.Request, *, max_bytes: int | None = None, json_fields: Collection[str] = ()
) -> dict[str, Any]:
    """The body's fields: of a JSON object as they stand, of a form as text.

    ``json_fields`` names form fields that hold JSON text (an object, a number ...); they are decoded, so that a form and
    a JSON body read alike. Text there that is no JSON stays text for the route to judge, unless it opens as an object or list.
    Raises ``InvalidJson``, ``InputInvalid`` (an unreadable form, a field twice, a binary file) and ``LimitExceeded``
    (413, above ``max_bytes``, else above the server's own limit).
    """
    request = _bounded(request, max_bytes)
    try:
        if request.content_type in FORM_TYPES and not await _is_mislabelled_json(request):
            return decoded(await _form_fields(request), json_fields)
        return parse_object(await request.read())
    except web.HTTPRequestEntityTooLarge:
        _too_large(max_bytes)
    except web.RequestPayloadError as error:
        raise InvalidJson("The body ended early, or its Content-Encoding does not fit.") from error


async def read_object(request: web.Request, *, max_bytes: int | None = None) -> dict[str, Any]:
    """The body as a JSON object, whatever its label says. Raises as ``read_fields`` does for JSON."""
    request = _bounded(request, max_bytes)
    try:
        return parse_object(await request.read())
    except web.HTTPRequestEntityTooLarge:
        _too_large(max_bytes)
    except web.RequestPayloadError as error:
        raise InvalidJson("The body ended early, or its Content-Encoding does not fit.") from error


def text_field(fields: dict[str, Any], name: str) -> str | None:
    """One text field; None when absent or null. Whole numbers count as text, so that node ids may be either.

    Raises ``InputInvalid`` with the field's pointer for anything else.
    """
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise InputInvalid(faults=(_fault(name, f"{name} must be text."),))


def required_text(fields: dict[str, Any], *names: str) -> tuple[str, ...]:
    """Several text fields that must all be there; ``InputInvalid`` names every one that is missing, each with its pointer."""
    values = [text_field(fields, name) for name in names]
    missing = tuple(
        _fault(name, f"{name} is missing.", hint=f"Send the field {name} as FormData or as JSON.")
        for name, value in zip(names, values, strict=True)
        if value is None
    )
    if missing:
        raise InputInvalid(" ".join(fault.message for fault in missing), faults=missing)
    return tuple(value for value in values if value is not None)


def parse_object(body: bytes | str) -> dict[str, Any]:
    """A JSON object, strictly: ``InvalidJson`` for anything else, also for NaN, infinities and text that is no UTF-8."""
    try:
        value = _loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidJson(f"The body is not valid JSON: {_reason(error)}.") from error
    if not isinstance(value, dict):
        raise InvalidJson("The body must be a JSON object.")
    return cast("dict[str, Any]", value)


async def _is_mislabelled_json(request: web.Request) -> bool:
    # `curl -d '{...}'` labels its body a form; ComfyUI never looks at the label, so neither do we when it opens as an object.
    if request.content_type != "application/x-www-form-urlencoded":
        return False
    return (await request.read()).lstrip().startswith(b"{")


def _bounded(request: web.Request, max_bytes: int | None) -> web.Request:
    if max_bytes is None:
        return request
    if (request.content_length or 0) > max_bytes:
        _too_large(max_bytes)
    try:
        return request.clone(client_max_size=max_bytes)
    except RuntimeError:  # a middleware has read the body already; its length was declared, and judged above
        return request


def _too_large(max_bytes: int | None) -> NoReturn:
    limit = "this server's limit" if max_bytes is None else f"{max_bytes} bytes"
    raise LimitExceeded(f"The body is larger than {limit}.", details={"max_bytes": max_bytes}, too_large=True)


async def _form_fields(request: web.Request) -> dict[str, str]:
    try:
        form = await request.post()
    except BROKEN_FORM as error:
        raise InputInvalid("The form cannot be read.", faults=(_fault("", "The form is malformed."),)) from error
    fields: dict[str, str] = {}
    for name, value in form.items():
        if name in fields:
            raise InputInvalid(f"{name} is given twice.", faults=(_fault(name, f"{name} is given twice."),))
        fields[name] = _as_text(name, value)
    return fields


def _as_text(name: str, value: str | bytes | bytearray | web.FileField) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, web.FileField):
        with value.file:
            value = value.file.read()
    try:
        return bytes(value).decode("utf-8")
    except UnicodeDecodeError as error:
        fault = _fault(name, f"{name} must be UTF-8 text.")
        raise InputInvalid(fault.message, faults=(fault,)) from error


def decoded(fields: dict[str, str], json_fields: Collection[str]) -> dict[str, Any]:
    """The fields of a form, with those that hold JSON read as such. Raises ``InvalidJson``."""
    return {name: _decode(name, text) if name in json_fields else text for name, text in fields.items()}


def _decode(name: str, text: str) -> Any:
    try:
        return _loads(text)
    except (ValueError, RecursionError) as error:
        if not text.lstrip().startswith(("{", "[")):
            return text
        fault = Fault(pointer=pointer(name), code=InvalidJson.code, message=f"Not valid JSON: {_reason(error)}.")
        raise InvalidJson(f"The field {name} is not valid JSON: {_reason(error)}.", faults=(fault,)) from error


def _loads(text: bytes | str) -> Any:
    return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)


def _finite(digits: str) -> float:
    # 1e999 would become an infinity, which no JSON that we answer with can hold.
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits[:40]} is too large for a number")
    return number


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON value")


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    return str(error)


def _fault(name: str, message: str, hint: str | None = None) -> Fault:
    """The fault of one field; of the whole body when ``name`` is empty."""
    where = pointer(name) if name else ""
    return Fault(pointer=where, code=InputInvalid.code, message=message, hint=hint, input_name=name or None)
