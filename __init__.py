"""Expeditor: a production API for ComfyUI. This doorway declares and calls ``install()``; see docs/architecture.md."""

from typing import Any

from .nodes import extension
from .runtime.install import install

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> Any:
    """ComfyUI's V3 entry: the nodes of this pack."""
    return extension()


install()
