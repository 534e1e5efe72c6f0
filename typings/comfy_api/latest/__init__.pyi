# ComfyUI's comfy_api.latest: no types are published for our floor version, so its symbols are Any, also as base classes.
from typing import Any

ComfyExtension: Any
io: Any
ui: Any

def __getattr__(name: str) -> Any: ...
