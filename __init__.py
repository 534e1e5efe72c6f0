"""Expeditor: a production API for ComfyUI. This doorway declares and calls ``install()``; see docs/architecture.md."""

import sys
from typing import Any

from .nodes import extension

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> Any:
    """ComfyUI's V3 entry: the nodes of this pack."""
    return extension()


if "server" in sys.modules:  # ComfyUI loads the pack; the command line of an installed pack has no server
    from .runtime.install import install

    install()
