# ComfyUI's server: no types are published. What Expeditor hooks into is declared here, the rest is Any.
import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from aiohttp import web
from execution import PromptQueue

class PromptServer:
    instance: ClassVar[PromptServer]
    app: web.Application
    routes: web.RouteTableDef
    loop: asyncio.AbstractEventLoop
    prompt_queue: PromptQueue
    sockets: dict[str, web.WebSocketResponse]
    client_id: str | None
    last_node_id: str | None
    number: int
    send: Callable[..., Awaitable[None]]
    send_sync: Callable[..., None]
    def __getattr__(self, name: str) -> Any: ...
    def __setattr__(self, name: str, value: Any) -> None: ...
    def add_on_prompt_handler(self, handler: Callable[[Any], Any]) -> None: ...
    def get_queue_info(self) -> dict[str, Any]: ...

def __getattr__(name: str) -> Any: ...
