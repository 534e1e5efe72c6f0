"""A node that takes part in ComfyUI's cache and counts how often it really ran, in files that outlive the process."""

# ruff: noqa: N802 - ComfyUI dictates this name

from __future__ import annotations

from typing import Any

from comfy_execution.graph_utils import GraphBuilder

from .failing import count_run


class ExpeditorTestCounts:
    """Gives the number of its runs under `key` so far; a changed `salt` makes it run again. `after` only makes it wait for another."""

    CATEGORY = "expeditor tests"
    FUNCTION = "run"
    RETURN_TYPES = ("INT",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """ComfyUI's declaration of the inputs."""
        required = {"key": ("STRING", {"default": "counts"}), "salt": ("INT", {"default": 0})}
        return {"required": required, "optional": {"after": ("*", {"forceInput": True})}}

    def run(self, key: str, salt: int, after: object = None) -> tuple[int]:
        """The number of runs."""
        del salt, after
        return (count_run(key),)


class ExpeditorTestExpands:
    """Becomes a counting node and a question behind it, and gives the answer."""

    CATEGORY = "expeditor tests"
    FUNCTION = "run"
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """ComfyUI's declaration of the inputs."""
        return {"required": {"key": ("STRING", {"default": "expands"})}}

    def run(self, key: str) -> dict[str, Any]:
        """The subgraph."""
        graph = GraphBuilder()
        counts = graph.node("ExpeditorTestCounts", key=key, salt=0)
        asked = {"label": "Inside?", "timeout_s": 120.0, "default_message": "nobody", "on_timeout": "use default"}
        wait = graph.node("WaitForMessage", after=counts.out(0), **asked)
        return {"result": (wait.out(0),), "expand": graph.finalize()}
