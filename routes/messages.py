"""``/expeditor/messages``: from a client to a node that waits.

Owns the two handlers and their wire form. Does not own who waits and who answers first (``events.mailbox``).
"""

from __future__ import annotations

from aiohttp import web

from ..events.mailbox import Mailbox
from .fields import read_fields, required_text, text_field

# A message of the mailbox's own limit fits even when JSON escapes every byte of it as \uXXXX.
MAX_BODY_BYTES = 512 * 1024


class MessageRoutes:
    """The handlers; errors are raised and rendered by the boundary of ``routes.errors``."""

    def __init__(self, mailbox: Mailbox) -> None:
        """Answer from, and deliver to, ``mailbox``."""
        self._mailbox = mailbox

    async def post(self, request: web.Request) -> web.Response:
        """``message node_id token? prompt_id?`` as form or JSON → 200 ``{delivered, token, node_id, prompt_id}``."""
        fields = await read_fields(request, max_bytes=MAX_BODY_BYTES)
        message, node_id = required_text(fields, "message", "node_id")
        token, prompt_id = (text_field(fields, name) or None for name in ("token", "prompt_id"))
        delivered = self._mailbox.deliver(message, node_id, token, prompt_id)
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
        return web.json_response({"pending": [wait.describe() for wait in self._mailbox.pending()]})
