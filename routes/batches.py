"""Batches: submit, preview, look, results and their files, cancel, retry. Parse, one service call, render."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

from aiohttp import hdrs, web

from ..intake.batch_request import JSON_FIELDS
from ..intake.batches import BatchService
from ..intake.ports import OutputFiles
from .asking import address_of, caller_of
from .batch_files import archive, members_of
from .fields import read_fields
from .jobs import REPEATED
from .queries import dry_run_query
from .render import bulk_json
from .render_batches import batch_json, preview_json, results_json, submitted_json

SEND_TIMEOUT_S = 120.0
"""How long a client may take for one part of a zip."""


class BatchRoutes:
    """The handlers; errors are raised and rendered by the boundary."""

    def __init__(
        self,
        batches: BatchService,
        files: OutputFiles,
        *,
        max_bytes: int,
        user_header: str | None,
        note_client_id: Callable[[object], None],
    ) -> None:
        """``files`` finds what jobs made; the rest as ``JobRoutes``."""
        self._batches = batches
        self._files = files
        self._max_bytes = max_bytes
        self._user_header = user_header
        self._note_client_id = note_client_id

    async def submit(self, request: web.Request) -> web.Response:
        """``POST /expeditor/batches?dry_run=`` → 201 batch, all jobs committed before the answer; 200 for a repeated request and
        for a preview, which changes nothing."""
        dry_run, fields = dry_run_query(request.query), await self._fields(request)
        wanted, caller = self._batches.parse(fields), caller_of(request, self._user_header)
        if dry_run or wanted.preview:
            return web.json_response(preview_json(await self._batches.preview(wanted, caller)))
        submitted = await self._batches.submit(wanted, fields, caller)
        headers = {REPEATED: "true"} if submitted.repeated else {}
        headers["Location"] = f"/expeditor/batches/{submitted.view.batch.id}"
        return web.json_response(submitted_json(submitted), status=200 if submitted.repeated else 201, headers=headers)

    async def get(self, request: web.Request) -> web.Response:
        """``GET /expeditor/batches/{id}`` → the batch: progress by status, eta, failed jobs."""
        return web.json_response(batch_json(await self._batches.get(request.match_info["batch_id"])))

    async def results(self, request: web.Request) -> web.Response:
        """``GET /expeditor/batches/{id}/results`` → every job with its swept values and outputs, by its place."""
        results = await self._batches.results(request.match_info["batch_id"])
        return web.json_response(results_json(results, address_of(request)))

    async def files(self, request: web.Request) -> web.StreamResponse:
        """``GET /expeditor/batches/{id}/results.zip`` → the files of all jobs that have ended, and the manifest, as they are read."""
        results = await self._batches.results(request.match_info["batch_id"])
        manifest = results_json(results, address_of(request))
        name = f"batch-{results.batch.id}.zip"
        response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{name}"'})
        response.content_type = "application/zip"
        await response.prepare(request)
        if request.method != hdrs.METH_HEAD:
            await _send(request, response, archive(members_of(results, manifest, self._files), manifest))
        return response

    async def cancel(self, request: web.Request) -> web.Response:
        """``POST /expeditor/batches/{id}/cancel`` → how many were cancelled, and the batch; idempotent."""
        view, report = await self._batches.cancel(request.match_info["batch_id"])
        return web.json_response({**bulk_json(report, "canceled"), "batch": batch_json(view)})

    async def retry(self, request: web.Request) -> web.Response:
        """``POST /expeditor/batches/{id}/retry`` → how many failed jobs run again, and the batch; idempotent."""
        view, report = await self._batches.retry(request.match_info["batch_id"])
        return web.json_response({**bulk_json(report, "retried"), "batch": batch_json(view)})

    async def _fields(self, request: web.Request) -> dict[str, Any]:
        fields = await read_fields(request, max_bytes=self._max_bytes, json_fields=JSON_FIELDS)
        self._note_client_id(fields.get("client_id"))
        return fields


async def _send(request: web.Request, response: web.StreamResponse, parts: Generator[bytes, None, None]) -> None:
    """Read and send part by part, the next one once the client has taken the last. A client that is gone or takes too long is cut
    off: an end that looks like one would tell it that it has all."""
    try:
        while (part := await asyncio.to_thread(next, parts, None)) is not None:
            await asyncio.wait_for(response.write(part), SEND_TIMEOUT_S)
        await response.write_eof()
    except (ConnectionError, asyncio.TimeoutError):
        if request.transport is not None:
            request.transport.abort()
    finally:
        with suppress(ValueError):  # another thread is still reading: the server stops
            parts.close()
