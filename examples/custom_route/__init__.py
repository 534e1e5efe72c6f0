"""A minimal ComfyUI pack with a route of its own, to copy into ``custom_nodes/``; works with and without Expeditor.

``POST /custom_route/messages`` takes FormData with ``node_id`` and ``message``. The node "Last message" gives the last one
that was sent to it, and its button in ``web/js/`` sends one. A route stands beside Expeditor's queue, not in it: what
should wait its turn is submitted as a prompt. (To pause a workflow until a message comes, use Expeditor's WaitForMessage.)
"""

from __future__ import annotations

from typing import Any

from aiohttp import web
from server import PromptServer

WEB_DIRECTORY = "./web"
MAX_MESSAGE_LENGTH = 10_000
MAX_KEPT = 1_000


class LastMessage:
    """Gives the text that was last sent to this node."""

    CATEGORY = "examples"
    FUNCTION = "read"
    RETURN_TYPES = ("STRING",)

    received: dict[str, str] = {}  # noqa: RUF012 - by node id, shared on purpose; forgotten at a restart

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        """The node's id comes from ComfyUI; nothing is typed in or linked."""
        return {"required": {}, "hidden": {"unique_id": "UNIQUE_ID"}}

    @classmethod
    def IS_CHANGED(cls, unique_id: str) -> str:  # noqa: N802 - ComfyUI's name
        """ComfyUI's cache is good as long as no other message has come."""
        return cls.received.get(unique_id, "")

    def read(self, unique_id: str) -> tuple[str]:
        """The message, or nothing."""
        return (self.received.get(unique_id, ""),)


# Registered without /api in front: ComfyUI serves every route under that prefix too.
@PromptServer.instance.routes.post("/custom_route/messages")
async def receive(request: web.Request) -> web.Response:
    """Keep a message for a node, and tell every open page."""
    if request.content_type not in {"multipart/form-data", "application/x-www-form-urlencoded"}:
        return web.json_response({"error": "Send FormData with node_id and message."}, status=415)
    form = await request.post()
    node_id, message = form.get("node_id"), form.get("message")
    if not isinstance(node_id, str) or not isinstance(message, str) or not node_id:
        return web.json_response({"error": "node_id and message are needed, both as text."}, status=400)
    if len(message) > MAX_MESSAGE_LENGTH:
        return web.json_response({"error": f"message may have {MAX_MESSAGE_LENGTH} characters."}, status=413)
    LastMessage.received.pop(node_id, None)
    LastMessage.received[node_id] = message
    if len(LastMessage.received) > MAX_KEPT:  # whoever can post must not be able to fill the memory
        del LastMessage.received[next(iter(LastMessage.received))]
    PromptServer.instance.send_sync("custom_route.message", {"node_id": node_id, "message": message})
    return web.json_response({"node_id": node_id, "length": len(message)})


NODE_CLASS_MAPPINGS = {"CustomRouteLastMessage": LastMessage}
NODE_DISPLAY_NAME_MAPPINGS = {"CustomRouteLastMessage": "Last message"}
