"""The contract's jobs: parse, one call of ``intake.v2.service``, render."""

from __future__ import annotations

from aiohttp import web

from ...intake.judges import Caller
from ...intake.v2.service import ContractJobs
from ...intake.views import JobView
from ..asking import caller_of, origin_of
from ..fields import read_object
from .queries import jobs_query
from .render import Keeping, Place, contract_job, contract_page

CONTRACT = "/api/v2"
NO_HOST = "http://localhost"


class V2JobRoutes:
    """The handlers; errors are raised and rendered by the boundary."""

    def __init__(self, service: ContractJobs, *, max_bytes: int, user_header: str | None) -> None:
        """``max_bytes`` bounds a body; ``user_header`` is the header that a trusted proxy sets, if any."""
        self._service = service
        self._max_bytes = max_bytes
        self._user_header = user_header

    async def submit(self, request: web.Request) -> web.Response:
        """``POST /jobs`` → 201 job, committed before the answer."""
        caller = self._caller(request)
        body = await read_object(request, max_bytes=self._max_bytes)
        return self._job(request, await self._service.submit(body, caller), status=201)

    async def get(self, request: web.Request) -> web.Response:
        """``GET /jobs/{id}`` → the job; with ``?wait=`` held until its status changes, for a moment at most."""
        look = self._service.held if request.query.get("wait", "0") != "0" else self._service.get
        return self._job(request, await look(request.match_info["job_id"]))

    async def list(self, request: web.Request) -> web.Response:
        """``GET /jobs?limit=&cursor=&status=&metadata[key]=`` → ``{jobs, next_cursor?}``, newest first."""
        return web.json_response(contract_page(await self._service.page(jobs_query(request.query))))

    async def workflow(self, request: web.Request) -> web.Response:
        """``GET /jobs/{id}/workflow`` → ``{workflow, format: "api"}``."""
        graph = await self._service.workflow(request.match_info["job_id"])
        return web.Response(text=f'{{"workflow": {graph}, "format": "api"}}', content_type="application/json")

    async def cancel(self, request: web.Request) -> web.Response:
        """``POST /jobs/{id}/cancel`` → the job; idempotent."""
        return self._job(request, await self._service.cancel(request.match_info["job_id"]))

    def _job(self, request: web.Request, view: JobView, status: int = 200) -> web.Response:
        keeping = Keeping(self._service.kept, self._service.now_s())
        return web.json_response(contract_job(view, place_of(request), keeping), status=status)

    def _caller(self, request: web.Request) -> Caller:
        return caller_of(request, self._user_header, spaces=True)


def place_of(request: web.Request) -> Place:
    """Where the client found us. Addresses of files must be absolute for it, also when its Host header is no host."""
    return Place(origin_of(request) or NO_HOST, request.path.partition(CONTRACT)[0] + CONTRACT)
