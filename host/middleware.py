"""The outermost middleware: stock routes are protected, ``/prompt`` answers only after its commit, every request is counted.

Owns the walk of one request; judges nothing itself (``StockGate``) and renders nothing itself (``ErrorRenderer``). Inserted in
``on_startup``; aiohttp passes its arguments by keyword, so their names are fixed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web

from ..jobs.awaiting import Awaiter
from ..jobs.entry import PreparedPrompt
from ..jobs.errors import ExpeditorError, InvalidJson, LimitExceeded, NotFound
from ..jobs.model import Job, JsonObject, Source
from .context import CLIENT_ID, COMMITS, SUBMISSION, Submission, note_client_id
from .ports import ErrorRenderer, Repeats, RequestLog, StockGate, Turn

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
INTERRUPT = "/interrupt"
CHECKED = frozenset({"/queue", "/history", INTERRUPT, "/free"})
API = "/api"
CONTRACT = "/api/v2/"
"""What stands there is not doubled: its address has the prefix."""
QUIET_PREFIXES = ("/extensions", "/view", "/ws", "/assets", "/scripts", "/templates", "/i18n", "/userdata", "/settings")
"""Files and page state: not part of the API, so neither counted nor logged."""
REPEATED = "Idempotent-Replayed"
_UTF_8 = ("utf-8", "utf8")


@dataclass(frozen=True, slots=True)
class Edge:
    """What the middleware works with. ``interrupts`` is given the body of an interruption before ComfyUI: whether it was all of it."""

    gate: StockGate
    render: ErrorRenderer
    requests: RequestLog
    awaiter: Awaiter
    repeats: Repeats
    interrupts: Callable[[bytes], bool] = lambda _: False


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
        return await _prompt(edge, request, handler)
    if bare not in CHECKED and not bare.startswith("/history/"):
        return await handler(request)
    try:
        raw = await _read(request) if request.method == "POST" else b""
        edge.gate.check(request.method, bare, raw, request.query)
    except web.HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 - the boundary of our part of a stock route; the renderer tells ours from bugs
        return edge.render(error, _place(request))
    if request.method == "POST" and bare == INTERRUPT:
        handler = _reaching(edge, raw, handler)
    return await _commit_before_answer(edge, request, handler, None)


def _reaching(edge: Edge, raw: bytes, handler: Handler) -> Handler:
    async def reach(request: web.Request) -> web.StreamResponse:
        return web.Response() if edge.interrupts(raw) else await handler(request)

    return reach


async def _prompt(edge: Edge, request: web.Request, handler: Handler) -> web.StreamResponse:
    turn: Turn | None = None
    try:
        try:
            prepared = edge.gate.read(await _read(request), request.remote, request.headers)
            note_client_id(prepared.body.get("client_id"))
            if prepared.request_key is not None:
                turn = await edge.repeats.turn(prepared.principal, prepared.request_key)
                if turn.earlier is not None:
                    return _as_before(turn.earlier)
            submission = _submission(edge.gate.admit(prepared))
        except web.HTTPException:
            raise
        except Exception as error:  # noqa: BLE001 - as in _walk
            return edge.render(error, _place(request))
        response = await _commit_before_answer(edge, request, handler, submission)
        if turn is not None and submission.keyed_job is not None and response.status == HTTPStatus.OK:
            turn.done(submission.keyed_job)
        return response
    finally:
        if turn is not None:
            turn.close()


def _as_before(job: Job) -> web.Response:
    """Core's answer to the request that this one repeats."""
    number = int(job.number) if job.number.is_integer() else job.number
    body: JsonObject = {"prompt_id": job.id, "number": number, "node_errors": {}}
    return web.json_response(body, headers={REPEATED: "true"})


def _submission(prepared: PreparedPrompt) -> Submission:
    return Submission(
        principal=prepared.principal,
        source=Source.PROMPT,
        priority=prepared.priority,
        # As core has it: a number of the client's own stands above its wish for the front.
        front=bool(prepared.body.get("front")) and "number" not in prepared.body,
        body=prepared.body,
        request_key=prepared.request_key,
        pool=prepared.pool,
    )


async def _commit_before_answer(
    edge: Edge, request: web.Request, handler: Handler, submission: Submission | None
) -> web.StreamResponse:
    commits: list[Future[Any]] = []
    tokens = SUBMISSION.set(submission), COMMITS.set(commits)
    try:
        response = await handler(request)  # whatever core raises stays core's
    finally:
        if submission is not None:
            submission.answered = True
        SUBMISSION.reset(tokens[0])
        COMMITS.reset(tokens[1])
    try:
        for commit in commits:
            await edge.awaiter.settled(commit, "Ask for the job before you submit it again.")
    except NotFound:
        # A deletion met a job whose own commit had failed: it is gone, as was wished.
        return response
    except ExpeditorError as error:
        return edge.render(error, _place(request))
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


def _place(request: web.Request) -> str:
    return f"{request.method} {request.path}"


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    canonical = resource.canonical if resource is not None else None
    if canonical is None:
        return "unmatched"
    doubled = canonical.startswith(API + "/") and not canonical.startswith(CONTRACT)
    return canonical[len(API) :] if doubled else canonical
