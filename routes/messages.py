"""``/expeditor/messages``: from a client to a node that waits, and the pictures that it shows.

Owns the handlers and their wire form. Does not own who waits and who answers first (``events.mailbox``), nor where (``events.post``).
"""

from __future__ import annotations

from aiohttp import web

from ..events.mailbox import MAX_MESSAGE_BYTES
from ..events.post import PostOffice
from ..jobs.errors import NotFound
from .fields import read_fields, required_text, text_field

# The largest message that a wait takes fits even when JSON escapes every byte of it as \uXXXX, beside the other fields.
ESCAPED_BYTES_PER_BYTE = 6
OTHER_FIELDS_BYTES = 128 * 1024


PICTURE_HEADERS = {"Cache-Control": "private, max-age=600", "X-Content-Type-Options": "nosniff"}
MAX_NUMBER_DIGITS = 9


def picture_number(digits: str) -> int:
    """Which picture is meant. Raises ``NotFound`` for what cannot be a number of one."""
    if not (digits.isascii() and digits.isdigit() and len(digits) <= MAX_NUMBER_DIGITS):
        raise NotFound("Pictures are numbered from 0.")
    return int(digits)


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
        """200 ``{"pending": [...]}``, each as ``PendingWait.describe``, oldest first."""
        return web.json_response({"pending": [wait.describe() for wait in self._post.pending()]})

    async def image(self, request: web.Request) -> web.Response:
        """The bytes of one picture of an open wait."""
        picture = await self._post.picture(request.match_info["token"], picture_number(request.match_info["n"]))
        return web.Response(body=picture.data, content_type=picture.content_type, headers=PICTURE_HEADERS)

    def _max_body_bytes(self) -> int:
        largest = max((wait.max_bytes for wait in self._post.pending()), default=MAX_MESSAGE_BYTES)
        return ESCAPED_BYTES_PER_BYTE * largest + OTHER_FIELDS_BYTES
