"""The bytes of an asset as an answer: whole, or a range of them.

aiohttp sends the file. What is added: ``If-Range`` with an entity tag, and the contract's envelope for a range that there is not.
"""

from __future__ import annotations

import os
from typing import Any

from aiohttp import hdrs, web

from ...intake.asset_views import AssetContent
from ...intake.v2.refusals import RANGE_NOT_SATISFIABLE
from ...jobs.errors import NotFound
from ..outputs import PlainFile, named, without
from .errors import envelope


class ReadFile(PlainFile):
    """The same without the range that the request names."""

    async def prepare(self, request: Any) -> Any:
        """See ``PlainFile``."""
        return await super().prepare(without(request, hdrs.RANGE))


def sent(request: web.Request, content: AssetContent) -> web.StreamResponse:
    """200, 206 with a ``Range``, 416 in the envelope, 304 for a known ``ETag``. Raises ``NotFound`` when the file has just gone."""
    try:
        facts = content.path.stat()
    except OSError:
        raise NotFound(f"The file of asset {content.view.id} is not there any more.") from None
    headers = {
        "Content-Type": content.view.content_type,
        "Content-Disposition": named(content.view.name, content.view.content_type),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
        "Cache-Control": "private, no-cache",
    }
    if _another(request.headers.get(hdrs.IF_RANGE), facts):
        return ReadFile(content.path, headers=headers)
    if not _satisfiable(request, facts.st_size):
        text = f"The range does not lie in the file, which has {facts.st_size} bytes."
        return envelope(416, RANGE_NOT_SATISFIABLE, text, headers={"Content-Range": f"bytes */{facts.st_size}"})
    return PlainFile(content.path, headers=headers)


def _another(if_range: str | None, facts: os.stat_result) -> bool:
    """Whether a condition names another version of the file than this one, by a tag; aiohttp judges the one by a date."""
    if if_range is None or not if_range.startswith(('"', "W/")):
        return False
    return if_range != f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'


def _satisfiable(request: web.Request, size_bytes: int) -> bool:
    try:
        wanted = request.http_range
    except ValueError:
        return False
    return wanted.start is None or wanted.start < size_bytes
