"""An operator's routes: the whole queue, and many jobs at once. Parse, one service call, render."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ..intake.bulk import BulkService
from ..intake.operations import QueueOperations
from .fields import read_fields
from .render import bulk_json, queue_json
from .selection import BULK_JSON_FIELDS, bulk_selection, clear_selection


class OperationRoutes:
    """The handlers; errors are raised and rendered by the boundary."""

    def __init__(self, queue: QueueOperations, bulk: BulkService, *, max_bytes: int) -> None:
        """``max_bytes`` bounds a body."""
        self._queue = queue
        self._bulk = bulk
        self._max_bytes = max_bytes

    async def look(self, _request: web.Request) -> web.Response:
        """``GET /expeditor/queue`` → depth by priority and principal, eta, drain rate, paused, draining."""
        return web.json_response(queue_json(await self._queue.look()))

    async def pause(self, _request: web.Request) -> web.Response:
        """``POST /expeditor/queue/pause`` → the queue; survives a restart."""
        return web.json_response(queue_json(await self._queue.pause()))

    async def resume(self, _request: web.Request) -> web.Response:
        """``POST /expeditor/queue/resume`` → the queue; ends a pause and a drain."""
        return web.json_response(queue_json(await self._queue.resume()))

    async def drain(self, _request: web.Request) -> web.Response:
        """``POST /expeditor/queue/drain`` → the queue; ended by a restart or by resume."""
        return web.json_response(queue_json(await self._queue.drain()))

    async def clear(self, request: web.Request) -> web.Response:
        """``POST /expeditor/queue/clear`` with ``{principal?, priority?}`` → how many waiting jobs were cancelled."""
        selection = clear_selection(await self._fields(request), request.query)
        return web.json_response(bulk_json(await self._queue.clear(selection), "canceled"))

    async def retry(self, request: web.Request) -> web.Response:
        """``POST /expeditor/jobs/retry`` with a filter → how many run again; failed ones unless it names a status or ids."""
        selection = bulk_selection(await self._fields(request), request.query)
        return web.json_response(bulk_json(await self._bulk.retry(selection), "retried"))

    async def cancel(self, request: web.Request) -> web.Response:
        """``POST /expeditor/jobs/cancel`` with a filter → how many were cancelled."""
        selection = bulk_selection(await self._fields(request), request.query)
        return web.json_response(bulk_json(await self._bulk.cancel(selection), "canceled"))

    async def _fields(self, request: web.Request) -> dict[str, Any]:
        if not request.can_read_body:
            return {}
        return await read_fields(request, max_bytes=self._max_bytes, json_fields=BULK_JSON_FIELDS)
