"""Our errors in the words of the Comfy API v2 contract: ``{"error": {"code", "message", "details"?}}``.

Owns the contract's words and their HTTP statuses, and the boundary behind which every answer under the prefix has the envelope
and an ``X-Comfy-Request-Id``. An unknown exception is logged once under that id; the answer says nothing else.
"""

from __future__ import annotations

import json
import logging
import uuid
from functools import wraps
from typing import Any

from aiohttp import web

from ...intake.core_shape import core_error
from ...intake.v2 import refusals
from ...intake.v2.refusals import ContractRefusal, TooManyStreams
from ...jobs.errors import Busy, ExpeditorError, InputInvalid, LimitExceeded, Unauthenticated
from ..errors import CHALLENGE, CODE_HEADER, Handler

log = logging.getLogger("expeditor.routes")
REQUEST_ID = "X-Comfy-Request-Id"
UPSTREAM_ERROR = "upstream_error"
TOO_LARGE = "payload_too_large"

STATUS_BY_WORD: dict[str, int] = {
    refusals.INVALID_REQUEST: 422,
    refusals.INVALID_WORKFLOW: 422,
    refusals.WORKFLOW_FORMAT_UI: 422,
    refusals.METADATA_INVALID: 422,
    refusals.IDEMPOTENCY_KEY_REUSE: 422,
    refusals.INVALID_METADATA_FILTER: 400,
    refusals.INVALID_CURSOR: 400,
    refusals.METHOD_NOT_ALLOWED: 405,
    refusals.HASH_MISMATCH: 409,
    refusals.ASSET_IN_USE: 409,
    refusals.BLOB_NOT_FOUND: 404,
    refusals.RANGE_NOT_SATISFIABLE: 416,
    "missing_asset": 422,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "queue_full": 429,
    "rate_limited": 429,
    "deployment_not_ready": 429,
    "too_many_streams": 429,
    TOO_LARGE: 413,
    UPSTREAM_ERROR: 500,
}

WORD_BY_CODE: dict[str, str] = {
    "INVALID_JSON": refusals.INVALID_REQUEST,
    "INVALID_PROMPT": refusals.INVALID_WORKFLOW,
    "INVALID_PROMPT_ID": refusals.INVALID_REQUEST,
    "UNKNOWN_NODE": refusals.INVALID_WORKFLOW,
    "NODE_NOT_ALLOWED": refusals.INVALID_WORKFLOW,
    "INPUT_INVALID": refusals.INVALID_WORKFLOW,
    "LINK_INVALID": refusals.INVALID_WORKFLOW,
    "CYCLE": refusals.INVALID_WORKFLOW,
    "NO_OUTPUT": refusals.INVALID_WORKFLOW,
    "MISSING_ASSET": "missing_asset",
    "LIMIT_EXCEEDED": refusals.INVALID_WORKFLOW,
    "UNAUTHENTICATED": "unauthorized",
    "FORBIDDEN": "forbidden",
    "PRIORITY_NOT_ALLOWED": "forbidden",
    "NOT_FOUND": "not_found",
    "GONE": "not_found",
    "CONFLICT": refusals.INVALID_REQUEST,
    "QUEUE_FULL": "queue_full",
    "QUOTA_EXCEEDED": "rate_limited",
    "RATE_LIMITED": "rate_limited",
    # The SDKs try a 429 again and give up on a 503.
    "DRAINING": "deployment_not_ready",
    "STORE_UNAVAILABLE": "deployment_not_ready",
    "INTERNAL": UPSTREAM_ERROR,
}


def new_request_id() -> str:
    """An id under which one request can be found in the log."""
    return uuid.uuid4().hex


def word_of(error: ExpeditorError) -> tuple[int, str]:
    """HTTP status and the contract's word."""
    if isinstance(error, LimitExceeded) and error.too_large:
        return 413, TOO_LARGE
    if isinstance(error, TooManyStreams):
        return 429, "too_many_streams"
    word = error.word if isinstance(error, ContractRefusal) else WORD_BY_CODE.get(error.code, UPSTREAM_ERROR)
    if isinstance(error, InputInvalid) and error.malformed:
        return 400, word if isinstance(error, ContractRefusal) else refusals.INVALID_REQUEST
    return 400 if error.code == "INVALID_JSON" else STATUS_BY_WORD[word], word


def v2_boundary(handler: Handler) -> Handler:
    """The handler with every error in the contract's envelope, and the request's id on every answer.

    A stream that a handler has begun carries the id already (``new_request_id``), or has none.
    """

    @wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        request_id = new_request_id()
        try:
            response = await handler(request)
        except ExpeditorError as error:
            response = render_v2_error(error)
        except web.HTTPException as answer:
            response = _of_http(answer)
        except Exception as error:  # noqa: BLE001 - the HTTP boundary: a bug of ours is a 500 with an id, never a traceback
            response = _unexpected(request, request_id, error)
        if not response.prepared:
            response.headers.setdefault(REQUEST_ID, request_id)
        return response

    return guarded


def render_v2_error(error: ExpeditorError) -> web.Response:
    """The contract's envelope for one of our errors."""
    status, word = word_of(error)
    headers = {CODE_HEADER: error.code}
    if isinstance(error, Busy):
        headers["Retry-After"] = str(max(error.retry_after_s, 1))
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = CHALLENGE
    return envelope(status, word, error.message, _details(error, word), headers)


def envelope(
    status: int, word: str, message: str, details: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    """``{"error": {"code", "message", "details"?}}``."""
    error: dict[str, Any] = {"code": word, "message": message}
    if details:
        error["details"] = details
    # Lone surrogates and the like come from the client: ASCII escapes keep the answer encodable.
    text = json.dumps({"error": error}, ensure_ascii=True, default=str)
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


def _details(error: ExpeditorError, word: str) -> dict[str, Any]:
    details = dict(error.details)
    if word == refusals.INVALID_WORKFLOW:
        details["node_errors"] = core_error(error)["node_errors"]
    loose = [fault for fault in error.faults if fault.node_id is None]
    if loose:
        details["errors"] = [
            {"pointer": one.pointer, "code": one.code, "message": one.message, "hint": one.hint} for one in loose
        ]
    return details


def _of_http(answer: web.HTTPException) -> web.Response:
    """What aiohttp itself refuses (a body beyond the server's limit ...)."""
    word = {401: "unauthorized", 403: "forbidden", 404: "not_found", 405: refusals.METHOD_NOT_ALLOWED, 413: TOO_LARGE}
    headers = {"Allow": answer.headers["Allow"]} if "Allow" in answer.headers else None
    return envelope(
        answer.status, word.get(answer.status, refusals.INVALID_REQUEST), answer.text or answer.reason, headers=headers
    )


def _unexpected(request: web.Request, request_id: str, error: Exception) -> web.Response:
    place = f"{request.method} {request.path}"
    log.error("Unexpected failure %s in %s", request_id, place, exc_info=error, extra={"event": "internal"})
    text = f"An unexpected error; the server's log has it under {request_id}."
    return envelope(500, UPSTREAM_ERROR, text, {"id": request_id}, {CODE_HEADER: "INTERNAL"})
