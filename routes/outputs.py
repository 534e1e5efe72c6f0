"""``GET /expeditor/jobs/{id}/outputs/{n}``: the bytes of what a job made."""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import quote

from aiohttp import hdrs, web

from ..intake.job_outputs import FoundOutput
from ..jobs.model import Output

SHOWN = ("image/", "video/", "audio/", "text/plain")
"""What a browser may show in place; anything else is saved, so that a page that a node wrote never runs on ComfyUI's address."""
SCRIPTABLE = frozenset({"image/svg+xml"})
MAX_NUMBER_DIGITS = 9


class PlainFile(web.FileResponse):
    """The file itself, never one beside it: aiohttp would take ``x.png.gz`` for a compressed ``x.png``, and anybody may upload one."""

    async def prepare(self, request: Any) -> Any:
        """See ``aiohttp.web.FileResponse``."""
        return await super().prepare(without(request, hdrs.ACCEPT_ENCODING))


def without(request: Any, name: str) -> Any:
    """The request as if it had no header of this name."""
    if not isinstance(request, web.Request) or name not in request.headers:
        return request
    return request.clone(headers={key: value for key, value in request.headers.items() if key.lower() != name.lower()})


class Outputs(Protocol):
    """``intake.job_outputs`` fits."""

    async def find(self, job_id: str, number: int | None) -> FoundOutput:
        """The output and its file."""
        ...


class OutputRoutes:
    """The handler; errors are raised and rendered by the boundary."""

    def __init__(self, outputs: Outputs) -> None:
        """``outputs`` finds them."""
        self._outputs = outputs

    async def content(self, request: web.Request) -> web.StreamResponse:
        """The bytes: 200, 206 and 416 for a ``Range``, 304 for a known ``ETag``; ``HEAD`` too."""
        found = await self._outputs.find(request.match_info["job_id"], _number(request.match_info["number"]))
        headers = {
            "Content-Type": found.output.content_type,
            "Content-Disposition": disposition(found.output),
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, no-cache",
        }
        return PlainFile(found.path, headers=headers)


def disposition(output: Output) -> str:
    """The header with an output's name."""
    return named(output.name, output.content_type)


def named(name: str, content_type: str) -> str:
    """``Content-Disposition`` with a file's name: as RFC 6266 has it, the full name in UTF-8 and a plain one for old clients."""
    kind = content_type.partition(";")[0].rstrip().lower()
    shown = kind.startswith(SHOWN) and kind not in SCRIPTABLE
    plain = "".join(sign if " " <= sign <= "~" and sign not in '"\\%' else "_" for sign in name)
    full = quote(name.encode("utf-8", "replace"), safe="")
    return f"{'inline' if shown else 'attachment'}; filename=\"{plain}\"; filename*=UTF-8''{full}"


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_NUMBER_DIGITS else None
