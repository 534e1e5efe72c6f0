"""``/expeditor/messages``: from a client to a node that waits.

Owns the two handlers and their wire form. Does not own who waits and who answers first (``events.mailbox``), nor where (``events.post``).
"""

from __future__ import annotations

from aiohttp import web

from ..events.mailbox import MAX_MESSAGE_BYTES
from ..events.post import PostOffice
from .fields import read_fields, required_text, text_field

# The largest message that a wait takes fits even when JSON escapes every byte of it as \uXXXX, beside the other fields.
ESCAPED_BYTES_PER_BYTE = 6
OTHER_FIELDS_BYTES = 128 * 1024


class MessageRoutes:
    """The handlers; errors are raised and rendered by the boundary of ``routes.errors``."""

    def __init__(self, post: PostOffice) -> None:
        """Answer from, and deliver by, ``post``."""
        self._post = post

    async def post(self, request: web.Request) -> web.Response:
        """``message node_id token? prompt_id?`` as form or JSON → 200 ``{delivered, token, node_id, prompt_id}``."""
        fields = await read_fields(request, max_bytes=self._max_body_bytes())
        message, node_id = required_text(fields, "message", "node_id")
        token, prompt_id = (text_field(fields, name) or None for name in ("token", "prompt_id"))
        delivered = await self._post.deliver(message, node_id, token, prompt_id)
        return web.json_response(
            {
                "delivered": True,
                "token": delivered.token,
                "node_id": delivered.node_id,
                "prompt_id": delivered.prompt_id,
            }
        )

    async def pending(self, _request: web.Request) -> web.Response:
        """200 ``{"pending": [{token, node_id, prompt_id, label, opened_at, deadline_at, max_bytes}]}``, oldest first."""
        return web.json_response({"pending": [wait.describe() for wait in self._post.pending()]})

    def _max_body_bytes(self) -> int:
        largest = max((wait.max_bytes for wait in self._post.pending()), default=MAX_MESSAGE_BYTES)
        return ESCAPED_BYTES_PER_BYTE * largest + OTHER_FIELDS_BYTES
