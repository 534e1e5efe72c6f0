"""Nodes that keep ComfyUI's worker busy until a test lets go: by time, or by a file. All but `Hangs` can be interrupted."""

# ruff: noqa: N802, ARG003 - ComfyUI dictates these names and arguments

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils
import folder_paths
from PIL import Image

POLL_S = 0.005


class ExpeditorTestSleepy:
    """Sleeps `seconds` in `steps` equal parts, a progress report after each, a preview picture with it on demand.

    Takes part in ComfyUI's cache like any other node; a changed `salt` makes it run again.
    """

    CATEGORY = "expeditor tests"
    FUNCTION = "run"
    RETURN_TYPES = ("FLOAT",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """ComfyUI's declaration of the inputs."""
        return {
            "required": {
                "seconds": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 86_400.0}),
                "steps": ("INT", {"default": 3, "min": 1, "max": 1_000_000}),
                "salt": ("INT", {"default": 0}),
            },
            "optional": {"preview": ("BOOLEAN", {"default": False}), "image": ("IMAGE",)},
        }

    def run(self, seconds: float, steps: int, salt: int, preview: bool = False, image: object = None) -> dict[str, Any]:
        """The slept seconds, as output and in the history."""
        bar = comfy.utils.ProgressBar(steps)
        picture = ("JPEG", Image.new("RGB", (16, 16), (salt % 256, 0, 0)), 16) if preview else None
        for step in range(steps):
            _sleep_interruptibly(seconds / steps)
            bar.update_absolute(step + 1, steps, picture)
        return {"ui": {"slept": [seconds]}, "result": (seconds,)}


class ExpeditorTestGate:
    """Waits until the file `name` exists in ComfyUI's input folder: a prompt that runs for exactly as long as a test wants."""

    CATEGORY = "expeditor tests"
    FUNCTION = "run"
    RETURN_TYPES = ("INT",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """ComfyUI's declaration of the inputs."""
        return {"required": {"name": ("STRING", {"default": "gate"})}}

    @classmethod
    def IS_CHANGED(cls, **inputs: object) -> float:
        """Never cached: not a number equals nothing."""
        return float("nan")

    def run(self, name: str) -> dict[str, Any]:
        """Nothing, once the file is there."""
        gate = Path(folder_paths.get_input_directory()) / name
        while not gate.exists():
            _sleep_interruptibly(POLL_S)
        return {"ui": {"passed": [name]}, "result": (0,)}


class ExpeditorTestHangs:
    """As the gate, but deaf to interruptions, like a call into a library that does not come back."""

    CATEGORY = "expeditor tests"
    FUNCTION = "run"
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """ComfyUI's declaration of the inputs."""
        return {"required": {"name": ("STRING", {"default": "gate"})}}

    @classmethod
    def IS_CHANGED(cls, **inputs: object) -> float:
        """Never cached: not a number equals nothing."""
        return float("nan")

    def run(self, name: str) -> dict[str, Any]:
        """Nothing, once the file is there."""
        gate = Path(folder_paths.get_input_directory()) / name
        while not gate.exists():
            time.sleep(POLL_S)
        return {"ui": {"passed": [name]}}


def _sleep_interruptibly(seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        comfy.model_management.throw_exception_if_processing_interrupted()
        time.sleep(min(left, POLL_S))
    comfy.model_management.throw_exception_if_processing_interrupted()
