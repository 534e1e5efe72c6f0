"""A node that takes part in ComfyUI's cache and counts how often it really ran, in files that outlive the process."""

# ruff: noqa: N802 - ComfyUI dictates this name

from __future__ import annotations

from typing import Any

from .failing import count_run


class ExpeditorTestCounts:
    """Gives the number of its runs under `key` so far; a changed `salt` makes it run again."""

    CATEGORY = "expeditor tests"
    FUNCTION = "run"
    RETURN_TYPES = ("INT",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """ComfyUI's declaration of the inputs."""
        return {"required": {"key": ("STRING", {"default": "counts"}), "salt": ("INT", {"default": 0})}}

    def run(self, key: str, salt: int) -> tuple[int]:
        """The number of runs."""
        del salt
        return (count_run(key),)
