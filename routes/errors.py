"""The one mapping from our errors to HTTP, and the one envelope.

Own routes: ``{"error": {"code", "message", "details", "errors": [{"pointer", "code", "message", "hint"}]}}``. Stock routes: core's
own shape. The code also stands in the HTTP reason phrase and in the header ``X-Expeditor-Code``. An unknown exception is
logged once with its traceback under an id; the answer has the id and nothing else.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from aiohttp import web

from ..intake.core_shape import core_error
from ..jobs.errors import Busy, ExpeditorError, Fault, InputInvalid, Internal, LimitExceeded, Unauthenticated

log = logging.getLogger("expeditor.routes")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CODE_HEADER = "X-Expeditor-Code"
CHALLENGE = 'Bearer realm="expeditor"'
"""What ``WWW-Authenticate`` says with every 401."""

STATUS_BY_CODE: dict[str, int] = {
    "INVALID_JSON": 400,
    "INVALID_PROMPT": 400,
    "INVALID_PROMPT_ID": 400,
    "UNKNOWN_NODE": 422,
    "NODE_NOT_ALLOWED": 403,
    "INPUT_INVALID": 422,
    "LINK_INVALID": 422,
    "CYCLE": 422,
    "NO_OUTPUT": 422,
    "MISSING_ASSET": 422,
    "LIMIT_EXCEEDED": 422,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "PRIORITY_NOT_ALLOWED": 403,
    "NOT_FOUND": 404,
    "CONFLICT": 409,
    "GONE": 410,
    "QUEUE_FULL": 429,
    "QUOTA_EXCEEDED": 429,
    "RATE_LIMITED": 429,
    "DRAINING": 503,
    "STORE_UNAVAILABLE": 503,
    "INTERNAL": 500,
}


def status_of(error: ExpeditorError) -> int:
    """The HTTP status of an error on our own routes."""
    if isinstance(error, LimitExceeded) and error.too_large:
        return 413
    if isinstance(error, InputInvalid) and error.malformed:
        return 400
    return STATUS_BY_CODE[error.code]


def render_error(error: ExpeditorError) -> web.Response:
    """Our envelope."""
    body = {
        "error": {
            "code": error.code,
            "message": error.message,
            "details": error.details,
            "errors": [fault_json(fault) for fault in error.faults],
        }
    }
    return _response(error, status_of(error), body)


def render_core_error(error: Exception, place: str = "") -> web.Response:
    """Core's shape, for stock routes: validation faults are 400 there, so that ComfyUI's page marks the nodes."""
    error = known(error, place)
    status = status_of(error)
    return _response(error, 400 if status == 422 else status, core_error(error))


def known(error: Exception, place: str) -> ExpeditorError:
    """``error`` if it is one of our tree; else it is logged once with its traceback, and an ``Internal`` that names the log's id."""
    if isinstance(error, ExpeditorError):
        return error
    error_id = uuid.uuid4().hex[:12]
    log.error("Unexpected failure %s in %s", error_id, place, exc_info=error, extra={"event": "internal"})
    return Internal(f"An unexpected error; the server's log has it under {error_id}.", details={"id": error_id})


def boundary(handler: Handler) -> Handler:
    """The handler with errors rendered; the only place where an unknown exception becomes an answer."""

    @wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ExpeditorError as error:
            return render_error(error)
        except web.HTTPException:
            raise
        except Exception as error:  # noqa: BLE001 - the HTTP boundary: a bug of ours is a 500 with an id, never a traceback
            return render_error(known(error, f"{request.method} {request.path}"))

    return guarded


def fault_json(fault: Fault) -> dict[str, Any]:
    """One fault."""
    return {"pointer": fault.pointer, "code": fault.code, "message": fault.message, "hint": fault.hint}


def _response(error: ExpeditorError, status: int, body: dict[str, Any]) -> web.Response:
    headers = {CODE_HEADER: error.code}
    if isinstance(error, Busy):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = CHALLENGE
    # Lone surrogates and the like come from the client: ASCII escapes keep the answer encodable.
    text = json.dumps(body, ensure_ascii=True, default=str)
    return web.Response(text=text, status=status, reason=error.code, headers=headers, content_type="application/json")
