"""Submit, validate, schemas, and the jobs API: parse, one service call, render."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import web

from ..intake.holding import HeldRequests
from ..intake.service import JobService
from ..intake.submission import JSON_FIELDS
from ..intake.upload_names import is_file_part, with_files
from ..intake.uploads import UploadDesk, Uploads
from ..jobs.errors import NotFound
from ..jobs.model import JsonObject
from .asking import address_of, caller_of
from .fields import read_fields
from .held import held_answer
from .multipart import MULTIPART, read_parts
from .queries import list_query, priority_change, wait_query
from .render import job_json, listing_json, verdict_json

REPEATED = "Idempotent-Replayed"


class Schemas(Protocol):
    """JSON Schemas of the nodes on this server; ``intake.validation`` fits."""

    def schema(self, class_type: str) -> JsonObject | None:
        """The schema of one class, or None."""
        ...

    def schemas(self) -> JsonObject:
        """The schema of whole prompts."""
        ...


class JobRoutes:
    """The handlers; errors are raised and rendered by the boundary."""

    def __init__(
        self,
        service: JobService,
        schemas: Schemas,
        held: HeldRequests,
        uploads: UploadDesk,
        *,
        max_bytes: int,
        max_wait_s: float,
        user_header: str | None,
        note_client_id: Callable[[object], None],
    ) -> None:
        """``max_bytes`` bounds a body and ``max_wait_s`` a wait; ``user_header`` is the header that a trusted proxy sets, if any.

        ``note_client_id`` is told the client id of each body, for the access log.
        """
        self._service = service
        self._schemas = schemas
        self._held = held
        self._uploads = uploads
        self._max_bytes = max_bytes
        self._max_wait_s = max_wait_s
        self._user_header = user_header
        self._note_client_id = note_client_id

    async def submit(self, request: web.Request) -> web.Response:
        """``POST /expeditor/submit?wait_s=`` → 201 job, committed before the answer; 200 for a repeated request, and for one
        that waited for the job's end; 202 when that did not come in time."""
        wait_s = wait_query(request.query, self._max_wait_s)
        async with self._uploads.open() as files:
            fields = await self._submission(request, files)
            submitted = await self._service.submit(fields, caller_of(request, self._user_header))
        headers = {REPEATED: "true"} if submitted.repeated else {}
        if wait_s is not None:
            view = await self._held.until_ended_from(submitted.view, wait_s, _gone(request))
            return held_answer(view, address_of(request), headers)
        headers["Location"] = f"/expeditor/jobs/{submitted.view.job.id}"
        body = job_json(submitted.view, address_of(request))
        return web.json_response(body, status=200 if submitted.repeated else 201, headers=headers)

    async def validate(self, request: web.Request) -> web.Response:
        """``POST /expeditor/validate`` → 200, or what submit would answer. Changes nothing."""
        fields = await self._fields(request)
        return web.json_response(
            verdict_json(await self._service.validate(fields, caller_of(request, self._user_header)))
        )

    async def schema(self, _request: web.Request) -> web.Response:
        """``GET /expeditor/schema`` → JSON Schema of prompts on this server."""
        return web.json_response(self._schemas.schemas(), content_type="application/schema+json")

    async def node_schema(self, request: web.Request) -> web.Response:
        """``GET /expeditor/schema/{class_type}`` → JSON Schema of one node class."""
        class_type = request.match_info["class_type"]
        schema = self._schemas.schema(class_type)
        if schema is None:
            raise NotFound(f"This server has no node class {class_type[:80]}.")
        return web.json_response(schema, content_type="application/schema+json")

    async def list(self, request: web.Request) -> web.Response:
        """``GET /expeditor/jobs?status=&principal=&cause=&held=&limit=&cursor=`` → ``{jobs, next_cursor}``, newest first."""
        return web.json_response(listing_json(await self._service.list(list_query(request.query)), address_of(request)))

    async def get(self, request: web.Request) -> web.Response:
        """``GET /expeditor/jobs/{id}?wait_s=`` → 200 job; 202 when it was waited for and has not ended."""
        job_id, wait_s = request.match_info["job_id"], wait_query(request.query, self._max_wait_s)
        if wait_s is not None:
            return held_answer(await self._held.until_ended(job_id, wait_s, _gone(request)), address_of(request))
        return web.json_response(job_json(await self._service.get(job_id), address_of(request)))

    async def cancel(self, request: web.Request) -> web.Response:
        """``POST /expeditor/jobs/{id}/cancel`` → the job; idempotent."""
        return web.json_response(
            job_json(await self._service.cancel(request.match_info["job_id"]), address_of(request))
        )

    async def priority(self, request: web.Request) -> web.Response:
        """``POST /expeditor/jobs/{id}/priority`` with ``{priority}`` or ``{front: true}`` → the job."""
        fields = await self._fields(request)
        change = priority_change(fields)
        caller = self._service.principal(caller_of(request, self._user_header), fields.get("client_id"))
        view = await self._service.reprioritise(request.match_info["job_id"], change, caller)
        return web.json_response(job_json(view, address_of(request)))

    async def hold(self, request: web.Request) -> web.Response:
        """``POST /expeditor/jobs/{id}/hold`` → the job; idempotent."""
        return web.json_response(job_json(await self._service.hold(request.match_info["job_id"]), address_of(request)))

    async def release(self, request: web.Request) -> web.Response:
        """``POST /expeditor/jobs/{id}/release`` → the job; idempotent."""
        return web.json_response(
            job_json(await self._service.release(request.match_info["job_id"]), address_of(request))
        )

    async def retry(self, request: web.Request) -> web.Response:
        """``POST /expeditor/jobs/{id}/retry`` → the job, queued again; idempotent."""
        return web.json_response(job_json(await self._service.retry(request.match_info["job_id"]), address_of(request)))

    async def _submission(self, request: web.Request, files: Uploads) -> dict[str, Any]:
        """The fields of a submit, its files received and named in the prompt."""
        if request.content_type != MULTIPART:
            return await self._fields(request)
        fields = await read_parts(
            request, files, is_file=is_file_part, max_bytes=self._max_bytes, json_fields=JSON_FIELDS
        )
        self._note_client_id(fields.get("client_id"))
        return with_files(fields, files.complete())

    async def _fields(self, request: web.Request) -> dict[str, Any]:
        fields = await read_fields(request, max_bytes=self._max_bytes, json_fields=JSON_FIELDS)
        self._note_client_id(fields.get("client_id"))
        return fields


def _gone(request: web.Request) -> Callable[[], bool]:
    """Whether the client has closed its connection; aiohttp tells a waiting handler in no other way."""
    return lambda: request.transport is None or request.transport.is_closing()
