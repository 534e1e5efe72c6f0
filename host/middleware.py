"""The outermost middleware: stock routes are protected, ``/prompt`` answers only after its commit, every request is counted.

Owns the walk of one request; judges nothing itself (``StockGate``) and renders nothing itself (``ErrorRenderer``). Inserted in
``on_startup``; aiohttp passes its arguments by keyword, so their names are fixed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from ..jobs.errors import ExpeditorError, InvalidJson, LimitExceeded, StoreUnavailable
from ..jobs.model import Source
from ..jobs.principals import ANONYMOUS
from .context import CLIENT_ID, SUBMISSION, Submission, note_client_id
from .ports import ErrorRenderer, RequestLog, StockGate

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CHECKED = frozenset({"/queue", "/history", "/interrupt", "/free"})
API = "/api"
QUIET_PREFIXES = ("/extensions", "/view", "/ws", "/assets", "/scripts", "/templates", "/i18n", "/userdata", "/settings")
"""Files and page state: not part of the API, so neither counted nor logged."""


_UTF_8 = ("utf-8", "utf8")


@dataclass(frozen=True, slots=True)
class Edge:
    """What the middleware works with."""

    gate: StockGate
    render: ErrorRenderer
    requests: RequestLog
    deadline_s: float


def middleware(edge: Edge) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
    """The middleware for ``app.middlewares``."""

    @web.middleware
    async def expeditor_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        bare = path[len(API) :] if path.startswith(API + "/") else path
        if request.method == "OPTIONS" or bare == "/" or bare.startswith(QUIET_PREFIXES):
            return await handler(request)
        started_s = time.perf_counter()
        CLIENT_ID.set(None)
        status, code = 500, None
        try:
            response = await _walk(edge, request, handler, bare)
            status, code = response.status, response.headers.get("X-Expeditor-Code")
            return response
        except web.HTTPException as answer:
            status = answer.status
            raise
        except asyncio.CancelledError:
            status = 499
            raise
        finally:
            edge.requests.request(
                method=request.method,
                route=_route(request),
                path=path,
                status=status,
                duration_s=time.perf_counter() - started_s,
                client_id=CLIENT_ID.get() or request.headers.get("Client-Id") or request.query.get("clientId"),
                code=code,
            )

    return expeditor_middleware


async def _walk(edge: Edge, request: web.Request, handler: Handler, bare: str) -> web.StreamResponse:
    if request.method == "POST" and bare == "/prompt":
        return await _submit(edge, request, handler)
    if bare in CHECKED or bare.startswith("/history/"):
        return await _checked(edge, request, handler, bare)
    return await handler(request)


async def _submit(edge: Edge, request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        raw = await _read(request)
        prepared = edge.gate.prompt(raw, request.remote, request.headers)
        note_client_id(prepared.body.get("client_id"))
        submission = Submission(
            principal=prepared.principal,
            source=Source.PROMPT,
            priority=prepared.priority,
            front=bool(prepared.body.get("front")),
            body=prepared.body,
        )
        return await _commit_before_answer(edge, request, handler, submission)
    except ExpeditorError as error:
        return edge.render(error)


async def _checked(edge: Edge, request: web.Request, handler: Handler, bare: str) -> web.StreamResponse:
    try:
        raw = await _read(request) if request.method == "POST" else b""
        edge.gate.check(request.method, bare, raw, request.query)
        submission = Submission(principal=ANONYMOUS, source=Source.PROMPT)
        return await _commit_before_answer(edge, request, handler, submission)
    except ExpeditorError as error:
        return edge.render(error)


async def _commit_before_answer(
    edge: Edge, request: web.Request, handler: Handler, submission: Submission
) -> web.StreamResponse:
    token = SUBMISSION.set(submission)
    try:
        response = await handler(request)
    finally:
        SUBMISSION.reset(token)
    for commit in submission.commits:
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(commit)), edge.deadline_s)
        except asyncio.TimeoutError as error:
            message = (
                f"The store did not commit within {edge.deadline_s:g} s; ask for the job before you submit it again."
            )
            raise StoreUnavailable(message) from error
    return response


async def _read(request: web.Request) -> bytes:
    """The body as UTF-8, whatever charset its label names: core decodes by the label, and fails where it cannot."""
    try:
        raw, charset = await request.read(), request.charset or "utf-8"
        return raw if charset.lower() in _UTF_8 else raw.decode(charset).encode("utf-8", "surrogatepass")
    except (LookupError, UnicodeError, ValueError) as error:
        raise InvalidJson("The body cannot be read by the charset that its Content-Type names.") from error
    except web.HTTPRequestEntityTooLarge as error:
        raise LimitExceeded(
            "The body is larger than this ComfyUI accepts (--max-upload-size).", too_large=True
        ) from error
    except web.RequestPayloadError as error:
        raise InvalidJson("The body ended early, or its Content-Encoding does not fit.") from error


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    canonical = resource.canonical if resource is not None else None
    if canonical is None:
        return "unmatched"
    return canonical[len(API) :] if canonical.startswith(API + "/") else canonical
