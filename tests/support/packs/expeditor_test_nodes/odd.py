"""A node whose result cannot be written as JSON: on stock ComfyUI it breaks `/history` and can end the process."""

# ruff: noqa: N802 - ComfyUI dictates this name

from __future__ import annotations

from typing import Any


class ExpeditorTestUnserialisableUI:
    """Succeeds, and puts a Python `set` and an object among what it shows."""

    CATEGORY = "expeditor tests"
    FUNCTION = "run"
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """ComfyUI's declaration of the inputs."""
        return {"required": {}, "optional": {"salt": ("INT", {"default": 0})}}

    def run(self, salt: int = 0) -> dict[str, Any]:
        """What ComfyUI will try to write as JSON, in vain."""
        return {"ui": {"odd": [{1, 2, salt}], "object": [object()]}}
