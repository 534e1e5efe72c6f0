"""A node that only some instances of a cluster have: those whose environment says so."""

# ruff: noqa: N802 - ComfyUI dictates this name

from __future__ import annotations

import os
from typing import Any


class ExpeditorTestOnlyHere:
    """Gives its number back."""

    CATEGORY = "expeditor tests"
    FUNCTION = "run"
    RETURN_TYPES = ("INT",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """ComfyUI's declaration of the inputs."""
        return {"required": {"salt": ("INT", {"default": 0, "min": 0, "max": 1_000_000})}}

    def run(self, salt: int) -> dict[str, Any]:
        """The number, as output and in the history."""
        return {"ui": {"salt": [salt]}, "result": (salt,)}


HAVE = "TEST_NODES_ONLY_HERE"
NODES = (ExpeditorTestOnlyHere,) if HAVE in os.environ else ()
