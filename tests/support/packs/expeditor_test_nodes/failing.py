"""Nodes that raise: ordinary errors, an out-of-memory error of torch, and `SystemExit`, which kills stock ComfyUI's worker; and
one that ends the process.

`times` makes a node fail on its first runs only, counted per `key` by empty files beside ComfyUI's input folder, so
that the count outlives the process and a retry after a restart is seen as one.
"""

# ruff: noqa: N802, ARG003 - ComfyUI dictates these names and arguments

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import folder_paths
import torch
from server import PromptServer

ERRORS: dict[str, type[Exception]] = {
    "ValueError": ValueError,
    "TypeError": TypeError,
    "RuntimeError": RuntimeError,
    "ConnectionError": ConnectionError,
    "TimeoutError": TimeoutError,
    "FileNotFoundError": FileNotFoundError,
}
ALWAYS = 1_000_000


class _Failing:
    CATEGORY = "expeditor tests"
    FUNCTION = "run"
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def IS_CHANGED(cls, **inputs: object) -> float:
        """Never cached: not a number equals nothing."""
        return float("nan")


class ExpeditorTestRaises(_Failing):
    """Raises `error` with `text` on its first `times` runs under `key`, then succeeds."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """ComfyUI's declaration of the inputs."""
        return {
            "required": {
                "error": (list(ERRORS), {"default": "RuntimeError"}),
                "text": ("STRING", {"default": "raised by a test node"}),
            },
            "optional": {**_COUNTED},
        }

    def run(self, error: str, text: str, times: int = ALWAYS, key: str = "raises", after: int = 0) -> dict[str, Any]:
        """The number of runs so far, in the history. `after` only makes it run behind another node."""
        del after
        runs = count_run(key)
        if runs <= times:
            raise ERRORS[error](text)
        return {"ui": {"runs": [runs]}}


class ExpeditorTestOutOfMemory(_Failing):
    """Raises torch's out-of-memory error on its first `times` runs under `key`; takes no memory itself."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """ComfyUI's declaration of the inputs."""
        return {"required": {}, "optional": {**_COUNTED}}

    def run(self, times: int = ALWAYS, key: str = "oom", after: int = 0) -> dict[str, Any]:
        """The number of runs so far, in the history. `after` only makes it run behind another node."""
        del after
        runs = count_run(key)
        if runs <= times:
            raise torch.cuda.OutOfMemoryError("a test node says that memory is used up")
        return {"ui": {"runs": [runs]}}


class ExpeditorTestRaisesSystemExit(_Failing):
    """Raises `SystemExit`, which no `except Exception` catches."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """ComfyUI's declaration of the inputs."""
        return {"required": {"code": ("INT", {"default": 3})}}

    def run(self, code: int) -> dict[str, Any]:
        """Never returns."""
        raise SystemExit(code)


class ExpeditorTestExits(_Failing):
    """Says `text` in the log and ends the process with `code`, as a crash in a driver would, on its first `times` runs under `key`."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """ComfyUI's declaration of the inputs."""
        return {
            "required": {
                "code": ("INT", {"default": 9}),
                "text": ("STRING", {"default": "a test node ends the process"}),
            },
            "optional": {**_COUNTED},
        }

    def run(self, code: int, text: str, times: int = ALWAYS, key: str = "exits") -> dict[str, Any]:
        """The number of runs so far, in the history."""
        runs = count_run(key)
        if runs <= times:
            logging.getLogger("expeditor_test_nodes").warning(text)
            os._exit(code)
        return {"ui": {"runs": [runs]}}


class ExpeditorTestEndsWorker(_Failing):
    """Succeeds, and has ComfyUI's worker thread die after the run, as a fault in another pack's patch would."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """ComfyUI's declaration of the inputs."""
        return {"required": {}}

    def run(self) -> dict[str, Any]:
        """Shows nothing."""
        PromptServer.instance.prompt_queue.get_flags = _raise_system_exit
        return {"ui": {}}


def _raise_system_exit(*_args: object, **_options: object) -> None:
    raise SystemExit(4)


_COUNTED: dict[str, Any] = {
    "times": ("INT", {"default": ALWAYS, "min": 0, "max": ALWAYS}),
    "key": ("STRING", {"default": "run"}),
    "after": ("INT", {"forceInput": True}),
}


def count_run(key: str) -> int:
    """One more run under this key, and how many there were by now."""
    folder = Path(folder_paths.get_input_directory()).parent / "expeditor_test_runs" / key
    folder.mkdir(parents=True, exist_ok=True)
    runs = len(list(folder.iterdir())) + 1
    (folder / str(runs)).touch()
    return runs
