# ComfyUI's comfy.model_patcher: no types are published, so its symbols are Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
