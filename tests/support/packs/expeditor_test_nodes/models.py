"""Nodes that load and use models without any file: real `ModelPatcher` objects over tiny modules, loaded as ComfyUI loads big ones."""

# ruff: noqa: N802 - ComfyUI dictates these names

from __future__ import annotations

import itertools
from typing import Any

import comfy.model_management
import comfy.model_patcher
import torch

_serials = itertools.count(1)


class ExpeditorTestLoadModel:
    """Makes a new model object each time that it runs; ComfyUI's cache decides how often that is."""

    CATEGORY = "expeditor tests"
    FUNCTION = "run"
    RETURN_TYPES = ("MODEL",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """ComfyUI's declaration of the inputs."""
        return {"required": {"ckpt_name": ("STRING", {"default": "a.safetensors"})}}

    def run(self, ckpt_name: str) -> tuple[Any]:  # noqa: ARG002 - only a name
        """A patcher over one linear layer, with the number of the load on it."""
        layer: Any = torch.nn.Linear(4, 4)
        layer.expeditor_serial = next(_serials)
        device = comfy.model_management.get_torch_device()
        return (comfy.model_patcher.ModelPatcher(layer, load_device=device, offload_device=torch.device("cpu")),)


class ExpeditorTestUseModel:
    """Loads a clone of the model, as a sampler does, and tells which load of it that was."""

    CATEGORY = "expeditor tests"
    FUNCTION = "run"
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """ComfyUI's declaration of the inputs."""
        return {"required": {"model": ("MODEL",), "salt": ("INT", {"default": 0})}}

    def run(self, model: Any, salt: int) -> dict[str, Any]:  # noqa: ARG002 - only to run again
        """The number of the load, in the history."""
        used = model.clone()
        comfy.model_management.load_models_gpu([used])
        return {"ui": {"serial": [used.model.expeditor_serial]}}
