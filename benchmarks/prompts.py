"""The prompts that are measured with: ComfyUI's own picture nodes and the test node that keeps the worker busy."""

from __future__ import annotations

import json
from typing import Any

NODES = 30


def thirty_nodes(seed: int) -> dict[str, Any]:
    """A chain of 30 picture nodes that ends in a saved file; as in real use, only a few widgets differ between requests."""
    size = {"width": 64, "height": 64, "batch_size": 1}
    prompt: dict[str, Any] = {"1": {"class_type": "EmptyImage", "inputs": {**size, "color": seed % 0xFFFFFF}}}
    for node in range(2, NODES):
        link = [str(node - 1), 0]
        if node % 3 == 0:
            inputs: dict[str, Any] = {
                "image": link,
                "upscale_method": "bilinear",
                "width": 64,
                "height": 64,
                "crop": "disabled",
            }
            prompt[str(node)] = {"class_type": "ImageScale", "inputs": inputs, "_meta": {"title": f"Scale {node}"}}
        elif node % 3 == 1:
            inputs = {"image": link, "blur_radius": 1, "sigma": 0.5 + (seed % 100 if node == 4 else node) / 100}
            prompt[str(node)] = {"class_type": "ImageBlur", "inputs": inputs}
        else:
            prompt[str(node)] = {"class_type": "ImageInvert", "inputs": {"image": link}}
    prompt[str(NODES)] = {
        "class_type": "SaveImage",
        "inputs": {"images": [str(NODES - 1), 0], "filename_prefix": "bench"},
    }
    return prompt


def bodies(count: int, clients: int, first_seed: int) -> list[str]:
    """Bodies of `POST /prompt`; body `i` belongs to client `i % clients`, as `load.py` deals them out."""
    return [
        json.dumps({"prompt": thirty_nodes(first_seed + index), "client_id": f"bench-{index % clients}"})
        for index in range(count)
    ]


def small(color: int) -> dict[str, Any]:
    """Two nodes that run in a few milliseconds; the same colour again comes from the cache."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": color}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }


def holder() -> dict[str, Any]:
    """Keeps the worker busy until it is interrupted, so that submitting is measured and not running."""
    return {"1": {"class_type": "ExpeditorTestSleepy", "inputs": {"seconds": 86_400.0, "steps": 1, "salt": 0}}}


def gate(name: str) -> dict[str, Any]:
    """Keeps the worker busy until the file `name` is in the input folder."""
    return {"1": {"class_type": "ExpeditorTestGate", "inputs": {"name": name}}}


def faulty(nodes: int) -> dict[str, Any]:
    """So many output nodes without their required input."""
    return {str(node): {"class_type": "PreviewImage", "inputs": {}} for node in range(1, nodes + 1)}
